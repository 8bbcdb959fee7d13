import { answerHead } from './answer-head.ts'
import type { BodyBeingRead } from './body-buffers.ts'
import { BodyPieces } from './body-pieces.ts'
import type { ClientConnection } from './client-connection.ts'
import type { BodyProblem, HttpExchange } from './exchange.ts'
import { fieldIn, keepsAlive, type RequestHead } from './request-head.ts'

const noBytes = Buffer.alloc(0)

/** `HttpExchange` over a client's connection. The head of an answer goes out with its first bytes, in one write. */
export class SocketExchange implements HttpExchange, BodyBeingRead {
  readonly method: string
  readonly path: string
  readonly rawHeaders: readonly string[]
  drained: (() => void) | undefined
  gone: (() => void) | undefined
  /** Its body is being read. */
  isReading = false
  slot = -1
  dueMs = 0
  readonly #head: RequestHead
  readonly #connection: ClientConnection
  #keepAlive: boolean
  #ended = false
  #left = false
  /** The answer's head, until it has gone out. */
  #answerHead = ''
  #chunked = false
  #body: BodyPieces | undefined
  #bodyBytesMax = 0
  #bodyBytesHeld = 0
  #bodyDone: (body: Buffer | BodyProblem) => void = () => {}

  constructor(head: RequestHead, connection: ClientConnection) {
    this.#head = head
    this.#connection = connection
    this.#keepAlive = keepsAlive(head)
    this.method = head.method
    const query = head.target.indexOf('?')
    this.path = query < 0 ? head.target : head.target.slice(0, query)
    this.rawHeaders = head.fields
  }

  get closed(): boolean {
    return this.#ended || this.#left
  }

  header(name: string): string | undefined {
    return fieldIn(this.rawHeaders, name)
  }

  // ---- the request's body ---------------------------------------------------------------------------------------

  readBody(bytesMax: number, done: (body: Buffer | BodyProblem) => void): void {
    const { buffers } = this.#connection.house
    const declared = Number(this.header('content-length') ?? 0)
    if (declared > bytesMax) return done('too-large')
    if (!buffers.fits(declared)) return done('no-room')
    if (this.#connection.isBodyRead) return done(noBytes)
    if (this.#head.version !== '1.0' && this.header('expect') !== undefined)
      this.#connection.send('HTTP/1.1 100 Continue\r\n\r\n', noBytes, '')
    this.#bodyBytesMax = bytesMax
    this.#bodyDone = done
    this.#body = new BodyPieces(declared)
    this.isReading = true
    buffers.reading(this)
  }

  tooSlow(): void {
    this.#finishBody('too-slow')
  }

  onBody(piece: Buffer): void {
    const body = this.#body
    if (body === undefined || !this.isReading) return
    if (body.length + piece.length > this.#bodyBytesMax) this.#finishBody('too-large')
    else if (!this.#hold(piece.length)) this.#finishBody('no-room')
    else body.add(piece)
  }

  onBodyEnd(): void {
    if (this.#body !== undefined && this.isReading) this.#finishBody(this.#body.whole())
  }

  releaseBody(): void {
    this.#connection.house.buffers.give(this.#bodyBytesHeld)
    this.#bodyBytesHeld = 0
  }

  #finishBody(result: Buffer | BodyProblem): void {
    this.isReading = false
    this.#body = undefined
    this.#connection.house.buffers.finished(this)
    const done = this.#bodyDone
    this.#bodyDone = () => {}
    done(result)
  }

  #hold(bytes: number): boolean {
    if (!this.#connection.house.buffers.take(bytes)) return false
    this.#bodyBytesHeld += bytes
    return true
  }

  // ---- the answer -----------------------------------------------------------------------------------------------

  head(status: number, headers: string[]): void {
    const { house, isBodyRead } = this.#connection
    const hasLength = fieldIn(headers, 'content-length') !== undefined
    this.#chunked = !hasLength && this.#head.version !== '1.0'
    // What is left of the request's body cannot be told from another request; without a length only the end can say it.
    if (house.draining || !isBodyRead || (!hasLength && !this.#chunked)) this.#keepAlive = false
    const ending = { keepAlive: this.#keepAlive, chunked: this.#chunked, date: house.date }
    this.#answerHead = answerHead(status, headers, ending)
  }

  write(bytes: Uint8Array): boolean {
    if (this.closed || bytes.length === 0) return true
    const head = this.#takeAnswerHead()
    if (!this.#chunked) return this.#connection.send(head, bytes, '')
    return this.#connection.send(`${head}${bytes.length.toString(16)}\r\n`, bytes, '\r\n')
  }

  end(bytes: Uint8Array = noBytes): void {
    if (this.closed) return
    this.#ended = true
    this.releaseBody()
    const head = this.#takeAnswerHead()
    // An answer to HEAD says how long its body would be.
    if (this.method === 'HEAD') this.#connection.send(head, noBytes, '')
    else if (!this.#chunked) this.#connection.send(head, bytes, '')
    else if (bytes.length === 0) this.#connection.send(head, noBytes, '0\r\n\r\n')
    else this.#connection.send(`${head}${bytes.length.toString(16)}\r\n`, bytes, '\r\n0\r\n\r\n')
    this.#connection.answered(this.#keepAlive)
  }

  destroy(): void {
    this.#ended = true
    this.releaseBody()
    this.#connection.destroy()
  }

  closeAfter(): void {
    this.#keepAlive = false
  }

  /** The client has left, or takes nothing any more. */
  onLeft(): void {
    this.releaseBody()
    this.#connection.house.buffers.finished(this)
    this.isReading = false
    if (this.#ended) return
    this.#left = true
    this.gone?.()
  }

  #takeAnswerHead(): string {
    const head = this.#answerHead
    this.#answerHead = ''
    return head
  }
}
