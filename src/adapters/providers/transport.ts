import { type Dispatcher, Pool } from 'undici'

/** One request on its way. */
export interface HttpCall {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** Flat: name, value, name, value. */
  readonly headers: readonly string[]
  readonly body: Uint8Array | undefined
}

/** Receives an answer as it comes. `onError` or `onEnd` comes last, and never after `abort`. */
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

export interface TransportLimits {
  readonly connectMs: number
  readonly firstByteMs: number
  readonly streamIdleMs: number
}

/** Speaks HTTP/1.1 to one origin over kept connections. Follows no redirect, decompresses nothing, retries nothing. */
export interface Transport {
  send(call: HttpCall, sink: HttpSink): HttpExchange
  close(): Promise<void>
}

export function openTransport(origin: string, limits: TransportLimits): Transport {
  const pool = new Pool(origin, {
    connections: null,
    pipelining: 1,
    allowH2: false,
    connect: { timeout: limits.connectMs, keepAlive: true, noDelay: true },
    headersTimeout: limits.firstByteMs,
    bodyTimeout: limits.streamIdleMs,
    // Shorter than any engine keeps an idle connection, so that none is used as it closes.
    keepAliveTimeout: 4_000,
    keepAliveMaxTimeout: 60_000,
    maxHeaderSize: 64 * 1024,
  })
  return {
    send(call, sink) {
      const exchange = new UndiciExchange(sink)
      pool.dispatch(
        { method: call.method, path: call.path, headers: call.headers as string[], body: call.body ?? null },
        exchange,
      )
      return exchange
    },
    close: () => pool.close(),
  }
}

const aborted = new Error('the caller has gone')

class UndiciExchange implements HttpExchange, Dispatcher.DispatchHandler {
  readonly #sink: HttpSink
  #controller: Dispatcher.DispatchController | undefined
  #over = false

  constructor(sink: HttpSink) {
    this.#sink = sink
  }

  abort(): void {
    if (this.#over) return
    this.#over = true
    this.#controller?.abort(aborted)
  }

  resume(): void {
    if (!this.#over && this.#controller?.paused === true) this.#controller.resume()
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    // Given up while it waited for a connection: nothing is sent.
    if (this.#over) controller.abort(aborted)
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (!this.#over && status >= 200) this.#sink.onHead(status, headers)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#over && !this.#sink.onData(chunk)) controller.pause()
  }

  onResponseEnd(): void {
    if (this.#over) return
    this.#over = true
    this.#sink.onEnd()
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    if (this.#over) return
    this.#over = true
    this.#sink.onError(error)
  }

  onRequestUpgrade(controller: Dispatcher.DispatchController): void {
    controller.abort(
      Object.assign(new Error('the vendor asked for another protocol'), { code: 'UND_ERR_NOT_SUPPORTED' }),
    )
  }
}
