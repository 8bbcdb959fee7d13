import type { IncomingMessage, ServerResponse } from 'node:http'
import type { BodyBuffers } from './body-buffers.ts'
import type { BodyProblem, HttpExchange } from './exchange.ts'
import { endLingering } from './linger.ts'

/** What all exchanges of a front share. */
export interface ExchangeSetting {
  readonly buffers: BodyBuffers
  /** A client that takes nothing for so long while bytes wait for it is left (P19). Node may notice up to as late again. */
  stallMs: number
  draining: boolean
}

/** `HttpExchange` over `node:http`. One object a request; no promise, no copy of the headers. */
export class NodeExchange implements HttpExchange {
  readonly method: string
  readonly path: string
  readonly rawHeaders: readonly string[]
  drained: (() => void) | undefined
  gone: (() => void) | undefined
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #setting: ExchangeSetting
  #ended = false
  #left = false
  #bodyBytesHeld = 0

  constructor(request: IncomingMessage, response: ServerResponse, setting: ExchangeSetting) {
    this.#request = request
    this.#response = response
    this.#setting = setting
    this.method = request.method ?? ''
    const url = request.url ?? ''
    const query = url.indexOf('?')
    this.path = query < 0 ? url : url.slice(0, query)
    this.rawHeaders = request.rawHeaders
    response.on('drain', () => this.#onDrain())
    // 'close' comes in every case: after a clean end, and when the client leaves at any time before it.
    response.on('close', () => this.#closed())
  }

  get closed(): boolean {
    return this.#ended || this.#left
  }

  header(name: string): string | undefined {
    const raw = this.rawHeaders
    for (let i = 0; i < raw.length; i += 2) {
      const candidate = raw[i] as string
      if (candidate.length === name.length && candidate.toLowerCase() === name) return raw[i + 1]
    }
    return undefined
  }

  readBody(bytesMax: number, done: (body: Buffer | BodyProblem) => void): void {
    const request = this.#request
    const { buffers } = this.#setting
    const declared = Number(this.header('content-length') ?? 0)
    if (declared > bytesMax) return done('too-large')
    if (!buffers.fits(declared)) return done('no-room')
    if (request.httpVersionMinor > 0 && this.header('expect') !== undefined) this.#response.writeContinue()
    const body = new BodyPieces(declared)
    let over = false
    const finish = (result: Buffer | BodyProblem): void => {
      if (over) return
      over = true
      buffers.finished(this)
      if (!this.#left) done(result)
    }
    buffers.reading(this, () => finish('too-slow'))
    request.on('data', (chunk: Buffer) => {
      if (over) return
      if (body.length + chunk.length > bytesMax) return finish('too-large')
      if (!this.#hold(chunk.length)) return finish('no-room')
      body.add(chunk)
    })
    request.on('end', () => finish(body.whole()))
  }

  head(status: number, headers: string[]): void {
    if (this.#setting.draining || this.#leavesBodyUnread()) this.closeAfter()
    this.#response.writeHead(status, headers)
  }

  write(bytes: Uint8Array): boolean {
    const goOn = this.#response.write(bytes)
    if (!goOn) this.#watchForStall()
    return goOn
  }

  end(bytes?: Uint8Array): void {
    if (this.#ended) return
    this.#ended = true
    this.releaseBody()
    if (bytes === undefined) this.#response.end()
    else this.#response.end(bytes)
    if (this.#response.writableLength > 0) this.#watchForStall()
  }

  destroy(): void {
    this.#ended = true
    this.releaseBody()
    this.#response.destroy()
  }

  closeAfter(): void {
    if (!this.#response.headersSent) this.#response.shouldKeepAlive = false
  }

  releaseBody(): void {
    this.#setting.buffers.give(this.#bodyBytesHeld)
    this.#bodyBytesHeld = 0
  }

  #hold(bytes: number): boolean {
    if (!this.#setting.buffers.take(bytes)) return false
    this.#bodyBytesHeld += bytes
    return true
  }

  /** Answering now leaves bytes of the request unread: what comes after them cannot be told from them. */
  #leavesBodyUnread(): boolean {
    const { socket, complete } = this.#request
    if (complete) return false
    if ((this.header('content-length') ?? '0') === '0' && this.header('transfer-encoding') === undefined) return false
    // Node would destroy the connection after the answer, and so keep the client from reading it.
    socket.destroySoon = () => endLingering(socket)
    return true
  }

  /** Node destroys a socket that is silent for so long, unless bytes have moved meanwhile. */
  #watchForStall(): void {
    this.#response.socket?.setTimeout(this.#setting.stallMs)
  }

  #onDrain(): void {
    if (this.#ended) return
    this.#response.socket?.setTimeout(0)
    this.drained?.()
  }

  #closed(): void {
    this.releaseBody()
    this.#setting.buffers.finished(this)
    if (this.#ended) return
    this.#left = true
    this.gone?.()
  }
}

/** A body as it arrives: small ones stay the piece they came in, large ones of known length are copied into place once. */
class BodyPieces {
  length = 0
  readonly #declared: number
  #pieces: Buffer[] = []
  #place: Buffer | undefined

  /** `declared` is 0 where the length is not known before. */
  constructor(declared: number) {
    this.#declared = declared
  }

  add(piece: Buffer): void {
    if (piece.length < this.#declared) {
      this.#place ??= Buffer.allocUnsafeSlow(this.#declared)
      piece.copy(this.#place, this.length)
    } else this.#pieces.push(piece)
    this.length += piece.length
  }

  whole(): Buffer {
    if (this.#place !== undefined) return this.#place
    return this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces, this.length)
  }
}
