import type { Socket } from 'node:net'
import { BodyReader } from '../../adapters/http1/body-reader.ts'
import { HeadCollector } from '../../adapters/http1/head-collector.ts'
import { writeJoined } from '../../adapters/http1/write-joined.ts'
import { type ErrorCode, errorCodes } from '../../core/errors.ts'
import { SpillwayError } from '../../core/spillway-error.ts'
import { errorBody, refusalHeaders } from '../refusal.ts'
import { answerHead, keepAliveMs } from './answer-head.ts'
import type { BodyBuffers } from './body-buffers.ts'
import { checkHead } from './head-check.ts'
import { endLingering } from './linger.ts'
import { couldBeRequest, framingOf, type RequestHead, requestHeadOf } from './request-head.ts'
import { SocketExchange } from './socket-exchange.ts'

/** Request heads above this get 431 (P12). */
const headBytesMax = 16 * 1024
/**
 * What a client may send behind a request before that is answered. All of it is read, so that its leaving is seen; above
 * this the connection closes.
 */
const pipelinedBytesMax = 64 * 1024

/** What all connections of a front share. */
export interface ConnectionHouse {
  readonly buffers: BodyBuffers
  nowMs(): number
  requestHeadMs: number
  /** A client that takes nothing for so long while bytes wait for it is left (P19). */
  stallMs: number
  draining: boolean
  /** The time now, as answers say it. */
  date: string
  /** Takes a request. Reads its body, or answers, before it returns. `problem`: why it is not to be served. */
  take(exchange: SocketExchange, problem: SpillwayError | undefined, isSurplus: boolean): void
  /** Takes note of a request that ended before its head was read; gives the id to answer it with. */
  unread(code: ErrorCode): string
}

const noBytes = Buffer.alloc(0)

/** One client's connection: reads its requests one after the other, each when the one before is answered. */
export class ClientConnection {
  /** Beyond the number there is room for: it is told so. */
  readonly isSurplus: boolean
  readonly #socket: Socket
  readonly #house: ConnectionHouse
  readonly #head = new HeadCollector()
  readonly #body = new BodyReader()
  /** The request that is being served. */
  #exchange: SocketExchange | undefined
  /** Bytes that were read behind it. */
  #rest: Buffer = noBytes
  #isReading = false
  /** Its last answer was given: what still comes is not looked at. */
  #isOver = false
  /** A whole head has come before. */
  #served = false
  /** When what it waits for has to be there: a whole head, or the beginning of another. */
  #dueMs: number

  constructor(socket: Socket, house: ConnectionHouse, isSurplus: boolean) {
    this.#socket = socket
    this.#house = house
    this.isSurplus = isSurplus
    this.#dueMs = house.nowMs() + house.requestHeadMs
    socket.on('data', (bytes: Buffer) => this.#onBytes(bytes))
    socket.on('end', () => this.#onEnd())
    socket.on('drain', () => this.#onDrain())
    socket.on('timeout', () => this.#onTimeout())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#leave())
  }

  /** Between two requests. */
  get isIdle(): boolean {
    return this.#exchange === undefined && this.#head.bytes === 0 && !this.#isOver
  }

  /** Looks whether its patience is at an end. Called about once a second. */
  sweep(nowMs: number): void {
    if (nowMs < this.#dueMs || this.#exchange !== undefined || this.#isOver) return
    if (this.#served && this.#head.bytes === 0) this.destroy()
    else this.refuse(new SpillwayError('request_timeout', 'the request took too long to arrive'))
  }

  // ---- the exchange's side --------------------------------------------------------------------------------------

  get house(): ConnectionHouse {
    return this.#house
  }

  /** All of the request that is being served was read. */
  get isBodyRead(): boolean {
    return this.#body.hasEnded
  }

  /** Sends text, bytes and text. Gives false where more waits than the client takes; `drained` is called then. */
  send(before: string, bytes: Uint8Array, after: string): boolean {
    const goOn = writeJoined(this.#socket, before, bytes, after)
    if (!goOn) this.#socket.setTimeout(this.#house.stallMs)
    return goOn
  }

  /** The answer to the request that is being served is complete. */
  answered(keepAlive: boolean): void {
    this.#exchange = undefined
    if (this.#socket.writableLength > 0) this.#socket.setTimeout(this.#house.stallMs)
    if (!keepAlive) {
      this.#isOver = true
      if (this.#body.hasEnded) this.#socket.end()
      else endLingering(this.#socket)
      return
    }
    this.#dueMs = this.#house.nowMs() + keepAliveMs
    // Not from inside the last answer: what it belongs to may have more to do.
    if (this.#rest.length > 0 && !this.#isReading) queueMicrotask(() => this.#onBytes(noBytes))
  }

  /** Answers what is no request to hand on, and closes. */
  refuse(error: SpillwayError, extra: readonly string[] = []): void {
    const body = Buffer.from(errorBody(error.code, error.message, null))
    const headers = refusalHeaders(error, this.#house.unread(error.code), extra)
    headers.push('content-length', String(body.length))
    const { status } = errorCodes[error.code]
    this.#isOver = true
    this.#leave()
    const ending = { keepAlive: false, chunked: false, date: this.#house.date }
    endLingering(this.#socket, Buffer.concat([Buffer.from(answerHead(status, headers, ending), 'latin1'), body]))
  }

  destroy(): void {
    this.#socket.destroy()
  }

  // ---- the socket's side ----------------------------------------------------------------------------------------

  #onBytes(bytes: Buffer): void {
    if (this.#isOver || this.#socket.destroyed) return
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    this.#rest = noBytes
    this.#isReading = true
    const read = this.#read(all)
    this.#isReading = false
    if (read < all.length && !this.#isOver) this.#rest = all.subarray(read)
    if (this.#rest.length > pipelinedBytesMax) this.destroy()
  }

  /** Reads as far as it can for now; gives how far. */
  #read(bytes: Buffer): number {
    let at = 0
    while (at < bytes.length && !this.#isOver) {
      if (this.#exchange !== undefined && !this.#exchange.isReading) return at
      const end = this.#exchange === undefined ? this.#readHead(bytes, at) : this.#readBody(this.#exchange, bytes, at)
      if (end < 0) return bytes.length
      at = end
    }
    return at
  }

  /** Gives where the head ends, or -1 where it does not, or is none. */
  #readHead(bytes: Buffer, at: number): number {
    const begins = this.#head.bytes === 0
    const end = this.#head.take(bytes, at)
    if (this.#head.bytes > headBytesMax) return this.#refuseHead(headTooLarge())
    if (end < 0) {
      // The first one's time runs from the connection's beginning.
      if (begins && this.#served) this.#dueMs = this.#house.nowMs() + this.#house.requestHeadMs
      return couldBeRequest(this.#head.beginning) ? -1 : this.#refuseHead(notWellFormed())
    }
    const head = requestHeadOf(this.#head.text)
    this.#head.clear()
    if (head === undefined) return this.#refuseHead(notWellFormed())
    if (head.method === 'CONNECT')
      return this.#refuseHead(new SpillwayError('method_not_allowed', 'CONNECT is not served here'), ['allow', ''])
    this.#served = true
    this.#serve(head)
    return end
  }

  #serve(head: RequestHead): void {
    const problem = checkHead(head.version, head.target, head.fields)
    // Where a message ends may be in doubt: nothing more is read from this connection.
    this.#body.start(problem === undefined ? framingOf(head.fields) : 'until-close')
    const exchange = new SocketExchange(head, this)
    this.#exchange = exchange
    if (problem !== undefined || this.isSurplus || exchange.header('upgrade') !== undefined) exchange.closeAfter()
    this.#house.take(exchange, problem && new SpillwayError(problem.code, problem.message), this.isSurplus)
  }

  /** Gives where the body ends or the bytes do, or -1 where what comes is no body. */
  #readBody(exchange: SocketExchange, bytes: Buffer, at: number): number {
    const body = this.#body
    const end = body.read(bytes, at)
    if (body.to > body.from) exchange.onBody(bytes.subarray(body.from, body.to))
    if (end < 0 && !this.#isOver) this.refuse(notWellFormed())
    else if (body.hasEnded) exchange.onBodyEnd()
    return end
  }

  #refuseHead(error: SpillwayError, extra: readonly string[] = []): -1 {
    this.refuse(error, extra)
    return -1
  }

  /** The client sends nothing more: it has left, as far as anybody here can tell. */
  #onEnd(): void {
    if (this.#exchange === undefined) this.#socket.end()
    else this.#socket.destroy()
  }

  #onDrain(): void {
    this.#socket.setTimeout(0)
    this.#exchange?.drained?.()
  }

  /** Node looks at the time only while nothing moves in either direction. */
  #onTimeout(): void {
    if (this.#socket.writableLength > 0) this.#socket.destroy()
    else this.#socket.setTimeout(0)
  }

  #leave(): void {
    const exchange = this.#exchange
    this.#exchange = undefined
    exchange?.onLeft()
  }
}

function headTooLarge(): SpillwayError {
  return new SpillwayError('head_too_large', `the request head is larger than ${headBytesMax} bytes`)
}

function notWellFormed(): SpillwayError {
  return new SpillwayError('invalid_request', 'this is not a well-formed HTTP/1.1 request')
}
