import type { ServerResponse } from 'node:http'
import type { Answer } from './answer.ts'
import type { ServedRequest } from './cloud-log.ts'
import type { Turn } from './wheel.ts'
import type { Wire } from './wires/wire.ts'

interface JobOptions {
  readonly response: ServerResponse
  readonly answer: Answer
  readonly wire: Wire
  readonly headers: Readonly<Record<string, string>>
  readonly stream: boolean
  readonly firstDueMs: number
  readonly perTokenMs: () => number
  readonly isStalled: () => boolean
  readonly ended: (how: ServedRequest['ended'], tokens: number, bytes: number) => void
}

/** One answer being given. */
export class Job {
  readonly response: ServerResponse
  readonly #options: JobOptions
  #dueMs: number
  #sent = 0
  #bytes = 0
  #over = false

  constructor(options: JobOptions) {
    this.#options = options
    this.response = options.response
    this.#dueMs = options.firstDueMs
    options.response.on('close', () => this.end('client-left'))
  }

  /** Writes the tokens that are due. */
  readonly turn: Turn = (nowMs) => {
    if (this.#over) return false
    const { answer, isStalled, perTokenMs, stream } = this.#options
    if (isStalled() || nowMs < this.#dueMs) return true
    // A client that does not read gets nothing made for it.
    if (this.response.writableNeedDrain) return true
    let text = ''
    const before = this.#sent
    while (this.#sent < answer.tokens && this.#dueMs <= nowMs) {
      if (stream) text += answer.token(this.#sent)
      this.#sent++
      this.#dueMs += perTokenMs()
    }
    if (stream) this.#write(before === 0 ? `${this.#options.wire.openingEvent}${answer.first()}${text}` : text)
    if (this.#sent < answer.tokens) return true
    this.#finish()
    return false
  }

  end(how: ServedRequest['ended']): void {
    if (this.#over) return
    this.#over = true
    this.#options.ended(how, this.#sent, this.#bytes)
  }

  #write(text: string): void {
    if (!this.response.headersSent) {
      this.response.writeHead(200, {
        ...this.#options.headers,
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-cache',
      })
    }
    this.#bytes += Buffer.byteLength(text)
    this.response.write(text)
  }

  #finish(): void {
    const { answer, headers, stream, wire } = this.#options
    if (stream) {
      const last = answer.last()
      this.#bytes += Buffer.byteLength(last)
      this.response.end(last)
    } else {
      const body = answer.whole(wire.answerExtra)
      this.#bytes += Buffer.byteLength(body)
      this.response.writeHead(200, {
        ...headers,
        'content-type': 'application/json',
        'content-length': this.#bytes,
      })
      this.response.end(body)
    }
    this.end('complete')
  }
}
