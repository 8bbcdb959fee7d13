import type { Dispatcher } from 'undici'
import { type Connection, type ConnectionOptions, Connections } from './connections.ts'

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
  /** False asks for `resume` before more is read. */
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
} as const

export function openTransport(origin: string, options: ConnectionOptions): Transport {
  const connections = new Connections(origin, options)
  return {
    send: (call, sink) => new UndiciExchange(connections, call, sink),
    close: () => connections.close(),
  }
}

class UndiciExchange implements HttpExchange, Dispatcher.DispatchHandler {
  readonly #connections: Connections
  readonly #connection: Connection | undefined
  readonly #sink: HttpSink
  #controller: Dispatcher.DispatchController | undefined
  #state: 'sending' | 'open' | 'ended' | 'over' = 'sending'
  /** Anything of an answer has come. */
  #answered = false
  #headSeen = false

  constructor(connections: Connections, { method, path, headers, body }: HttpCall, sink: HttpSink) {
    this.#connections = connections
    this.#sink = sink
    if (connections.isClosed) {
      queueMicrotask(() => this.#fail(failureWith(transportErrors.closed, 'this transport is closed')))
      return
    }
    this.#connection = connections.take()
    this.#connection.client.dispatch({ method, path, headers: headers as string[], body: body ?? null }, this)
    if (this.#state === 'sending') this.#state = 'open'
  }

  abort(): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#controller?.abort(aborted)
    this.#drop()
  }

  resume(): void {
    if (this.#state === 'open' && this.#controller?.paused === true) this.#controller.resume()
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    // Given up while it waited for a connection: nothing is sent.
    if (this.#state === 'over') controller.abort(aborted)
  }

  onResponseStarted(): void {
    this.#answered = true
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (this.#state !== 'open' || status < 200) return
    this.#headSeen = true
    this.#sink.onHead(status, headers)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#state === 'open' && !this.#sink.onData(chunk) && this.#state === 'open') controller.pause()
  }

  onResponseEnd(): void {
    if (this.#state !== 'open') return
    this.#state = 'ended'
    // The rest of what was read with it is looked at first: nothing may follow.
    queueMicrotask(() => this.#end())
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    if (this.#state === 'sending') queueMicrotask(() => this.#fail(error))
    else this.#fail(error)
  }

  #end(): void {
    if (this.#state !== 'ended') return
    const { socket } = this.#connection as Connection
    if (socket?.errored && (socket.errored as NodeJS.ErrnoException).code !== closedOnPurpose) {
      this.#fail(failureWith(transportErrors.invalid, 'bytes follow the end of the answer'))
      return
    }
    this.#state = 'over'
    this.#connections.rest(this.#connection as Connection)
    this.#sink.onEnd()
  }

  #fail(error: NodeJS.ErrnoException): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#drop()
    this.#sink.onError(this.#meaningOf(error))
  }

  #meaningOf(error: NodeJS.ErrnoException): NodeJS.ErrnoException {
    if (error.name === 'HTTPParserError') return failureWith(transportErrors.invalid, error.message)
    if (this.#answered && !this.#headSeen && error.code === 'UND_ERR_SOCKET')
      return failureWith(transportErrors.invalid, error.message)
    const broke = error.code === 'UND_ERR_SOCKET' || error.code === 'ECONNRESET' || error.code === 'EPIPE'
    if (broke && !this.#answered && this.#connection?.used === true)
      return failureWith(transportErrors.stale, error.message)
    return error
  }

  #drop(): void {
    if (this.#connection !== undefined) this.#connections.drop(this.#connection)
  }
}

const aborted = new Error('the caller has gone')
/** How undici marks a socket that it closes itself after a whole answer. */
const closedOnPurpose = 'UND_ERR_INFO'

function failureWith(code: string, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(message), { code })
}
