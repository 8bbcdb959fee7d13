import { isFieldValue } from '../http1/fields.ts'
import { AnswerParser, type ParsedHead, type ParserSink } from './answer-parser.ts'
import type { Connection, ConnectionUser } from './connection.ts'
import { type ConnectionOptions, Connections } from './connections.ts'

/** One request on its way. */
export interface HttpCall {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** Flat: name, value, name, value. */
  readonly headers: readonly string[]
  readonly body: Uint8Array | undefined
}

/** Receives an answer as it comes, never from inside `send`. `onError` or `onEnd` comes last, and nothing after `abort`. */
export interface HttpSink {
  onHead(status: number, headers: Readonly<Record<string, string | string[] | undefined>>): void
  /** The chunk is good during the call only. False asks for `resume` before more is read. */
  onData(chunk: Buffer): boolean
  onEnd(): void
  onError(error: NodeJS.ErrnoException): void
}

export interface HttpExchange {
  abort(): void
  resume(): void
}

/** Speaks HTTP/1.1 to one origin over kept connections. Follows no redirect, decompresses nothing, retries nothing. */
export interface Transport {
  send(call: HttpCall, sink: HttpSink): HttpExchange
  /** Takes nothing new; resolves when what is under way has ended. */
  close(): Promise<void>
}

/** Codes of this transport's own errors, beside those of the system. */
export const transportErrors = {
  /** The connection had been idle, and was gone before a byte of an answer came. */
  stale: 'ERR_STALE_CONNECTION',
  /** What came is no HTTP answer: a head that is none, or bytes past the end. */
  invalid: 'ERR_INVALID_ANSWER',
  closed: 'ERR_TRANSPORT_CLOSED',
  /** A header (of the credentials: we make the others) has something in it that is no text; nothing was sent. */
  unsendable: 'ERR_UNSENDABLE_HEADER',
} as const

export function openTransport(origin: string, options: ConnectionOptions): Transport {
  const connections = new Connections(origin, options)
  return {
    send: (call, sink) => new Exchange(connections, call, sink),
    close: () => connections.close(),
  }
}

class Exchange implements HttpExchange, ConnectionUser, ParserSink {
  readonly #connections: Connections
  #connection: Connection | undefined
  /** None once it is over. */
  #sink: HttpSink | undefined
  readonly #parser = new AnswerParser(this)
  /** Anything of an answer has come. */
  #answered = false
  #head: ParsedHead | undefined
  #goOn = true

  constructor(connections: Connections, call: HttpCall, sink: HttpSink) {
    this.#connections = connections
    this.#sink = sink
    if (connections.isClosed) {
      queueMicrotask(() => this.#fail(failureWith(transportErrors.closed, 'this transport is closed')))
      return
    }
    const head = headOf(call, connections.authority)
    if (head === undefined) {
      queueMicrotask(() => this.#fail(failureWith(transportErrors.unsendable, 'a header that cannot be sent')))
      return
    }
    this.#connection = connections.take()
    this.#connection.user = this
    this.#connection.send(head, call.body)
  }

  get #isOver(): boolean {
    return this.#sink === undefined
  }

  abort(): void {
    this.#close()
  }

  resume(): void {
    if (this.#isOver || this.#goOn) return
    this.#goOn = true
    this.#connection?.resume()
  }

  // ---- the connection's side ------------------------------------------------------------------------------------

  onBytes(bytes: Buffer): boolean {
    this.#answered = true
    this.#goOn = true
    const state = this.#parser.push(bytes)
    if (this.#isOver) return true
    if (state === 'invalid') {
      if (this.#parser.isEnded) this.#connections.distrust()
      this.#fail(failureWith(transportErrors.invalid, this.#parser.problem))
    } else if (state !== 'open') this.#end(state === 'whole')
    return this.#goOn || this.#isOver
  }

  onGone(error: NodeJS.ErrnoException | undefined): void {
    if (this.#isOver) return
    const state = this.#parser.close()
    if (state === 'last' && error === undefined) this.#end(false)
    else if (state === 'invalid') this.#fail(failureWith(transportErrors.invalid, this.#parser.problem))
    else this.#fail(this.#meaningOf(error))
  }

  // ---- the parser's side ----------------------------------------------------------------------------------------

  onHead(head: ParsedHead): void {
    this.#head = head
    this.#sink?.onHead(head.status, head.headers)
  }

  onBody(bytes: Buffer): void {
    if (this.#sink !== undefined) this.#goOn = this.#sink.onData(bytes)
  }

  // ---- ends -----------------------------------------------------------------------------------------------------

  #end(reusable: boolean): void {
    const connection = this.#connection
    const hint = this.#head?.headers['keep-alive']
    const sink = reusable ? this.#letGo() : this.#close()
    if (reusable && connection !== undefined) this.#connections.rest(connection, hint)
    sink?.onEnd()
  }

  #fail(error: NodeJS.ErrnoException): void {
    this.#close()?.onError(error)
  }

  /** Ends it, and its connection with it; the second time does nothing. */
  #close(): HttpSink | undefined {
    const connection = this.#connection
    const sink = this.#letGo()
    if (connection !== undefined) this.#connections.drop(connection)
    return sink
  }

  /** Who was told, for a last word. An exchange that is over may stay in memory for a while: alone. */
  #letGo(): HttpSink | undefined {
    const sink = this.#sink
    this.#sink = undefined
    this.#connection = undefined
    this.#head = undefined
    return sink
  }

  #meaningOf(error: NodeJS.ErrnoException | undefined): NodeJS.ErrnoException {
    const broke = error === undefined || error.code === 'ECONNRESET' || error.code === 'EPIPE'
    if (broke && !this.#answered && this.#connection?.used === true)
      return failureWith(transportErrors.stale, 'an idle connection was gone as it was used again')
    return error ?? failureWith('ECONNRESET', 'the connection was closed before the answer was whole')
  }
}

/** The head of a request, ready to send; undefined where a value would not stay within its line. */
function headOf({ method, path, headers, body }: HttpCall, authority: string): string | undefined {
  let head = `${method} ${path} HTTP/1.1\r\nhost: ${authority}\r\nconnection: keep-alive\r\n`
  for (let i = 0; i < headers.length; i += 2) {
    const value = headers[i + 1] as string
    if (!isFieldValue(value)) return undefined
    head += `${headers[i]}: ${value}\r\n`
  }
  return body === undefined ? `${head}\r\n` : `${head}content-length: ${body.length}\r\n\r\n`
}

function failureWith(code: string, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(message), { code })
}
