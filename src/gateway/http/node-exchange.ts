import type { IncomingMessage, ServerResponse } from 'node:http'
import type { BodyBuffers } from './body-buffers.ts'
import type { BodyProblem, HttpExchange } from './exchange.ts'

/** `HttpExchange` over `node:http`. One object a request; no promise, no copy of the headers. */
export class NodeExchange implements HttpExchange {
  readonly method: string
  readonly path: string
  readonly rawHeaders: readonly string[]
  drained: (() => void) | undefined
  gone: (() => void) | undefined
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #buffers: BodyBuffers
  #ended = false
  #left = false
  #bodyBytesHeld = 0

  constructor(request: IncomingMessage, response: ServerResponse, buffers: BodyBuffers) {
    this.#request = request
    this.#response = response
    this.#buffers = buffers
    this.method = request.method ?? ''
    const url = request.url ?? ''
    const query = url.indexOf('?')
    this.path = query < 0 ? url : url.slice(0, query)
    this.rawHeaders = request.rawHeaders
    response.on('drain', () => this.drained?.())
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
    const declared = Number(this.header('content-length') ?? -1)
    if (declared > bytesMax) return done('too-large')
    if (declared > 0 && !this.#hold(declared)) return done('no-room')
    const chunks: Buffer[] = []
    let bytes = 0
    let over = false
    const finish = (body: Buffer | BodyProblem): void => {
      if (over) return
      over = true
      this.#buffers.finished(this)
      if (!this.#left) done(body)
    }
    this.#buffers.reading(this, () => finish('too-slow'))
    request.on('data', (chunk: Buffer) => {
      if (over) return
      bytes += chunk.length
      if (bytes > bytesMax) return finish('too-large')
      if (bytes > this.#bodyBytesHeld && !this.#hold(chunk.length)) return finish('no-room')
      chunks.push(chunk)
    })
    request.on('end', () => finish(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, bytes)))
  }

  head(status: number, headers: string[]): void {
    this.#response.writeHead(status, headers)
  }

  write(bytes: Uint8Array): boolean {
    return this.#response.write(bytes)
  }

  end(bytes?: Uint8Array): void {
    if (this.#ended) return
    this.#ended = true
    this.releaseBody()
    if (bytes === undefined) this.#response.end()
    else this.#response.end(bytes)
  }

  destroy(): void {
    this.#ended = true
    this.releaseBody()
    this.#response.destroy()
  }

  closeAfter(): void {
    if (!this.#response.headersSent) this.#response.shouldKeepAlive = false
  }

  #hold(bytes: number): boolean {
    if (!this.#buffers.take(bytes)) return false
    this.#bodyBytesHeld += bytes
    return true
  }

  releaseBody(): void {
    this.#buffers.give(this.#bodyBytesHeld)
    this.#bodyBytesHeld = 0
  }

  #closed(): void {
    this.releaseBody()
    this.#buffers.finished(this)
    if (this.#ended) return
    this.#left = true
    this.gone?.()
  }
}
