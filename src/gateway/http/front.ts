import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { TrafficLimits } from '../../config/config.ts'
import type { ErrorCode } from '../../core/errors.ts'
import { SpillwayError } from '../../core/spillway-error.ts'
import { errorBody } from '../refusal.ts'
import { BodyBuffers } from './body-buffers.ts'
import type { HttpExchange } from './exchange.ts'
import { checkHead } from './head-check.ts'
import { NodeExchange } from './node-exchange.ts'

/** Request heads above this get 431 (P12). */
const headBytesMax = 16 * 1024

/** What the front hands each well-formed request to. `refusal` says why the request is not to be served. */
export type Handler = (exchange: HttpExchange, refusal: SpillwayError | undefined) => void

export interface FrontOptions {
  readonly host: string
  readonly port: number
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer }
  readonly limits: TrafficLimits
  readonly nowMs: () => number
  readonly handler: Handler
}

/** The listener that faces clients: takes connections, refuses what is not one clear HTTP/1.1 request, hands on the rest. */
export class Front {
  readonly buffers: BodyBuffers
  readonly #server: Server | TlsServer
  readonly #options: FrontOptions
  /** For each connection the requests that wait for the one before: pipelining is taken, in turn. */
  readonly #turns = new WeakMap<Socket, (() => void)[]>()
  readonly #sweep: NodeJS.Timeout
  #connections = 0
  #draining = false

  private constructor(options: FrontOptions) {
    this.#options = options
    const { limits } = options
    this.buffers = new BodyBuffers(limits.buffersBytesMax, limits.requestBodyMs, options.nowMs)
    const settings = {
      maxHeaderSize: headBytesMax,
      headersTimeout: limits.requestHeadMs,
      // The body has its own absolute time, kept by the sweep; this one is behind it.
      requestTimeout: limits.requestHeadMs + limits.requestBodyMs + 5_000,
      keepAliveTimeout: 75_000,
      connectionsCheckingInterval: 1_000,
      requireHostHeader: false,
      insecureHTTPParser: false,
      joinDuplicateHeaders: false,
      keepAlive: false,
      noDelay: true,
      highWaterMark: 64 * 1024,
    }
    this.#server =
      options.tls === undefined
        ? createServer(settings, (request, response) => this.#take(request, response))
        : createTlsServer({ ...settings, ...options.tls }, (request, response) => this.#take(request, response))
    this.#server.maxHeadersCount = 200
    this.#server.on('connection', (socket: Socket) => this.#connected(socket))
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => answerBrokenHead(error, socket))
    // 100-continue is answered only once the head was found good and small enough to read.
    this.#server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      const declared = Number(request.headers['content-length'] ?? 0)
      if (declared <= limits.bodyBytesMax) response.writeContinue()
      this.#take(request, response)
    })
    this.#server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
      this.#take(request, response, new SpillwayError('invalid_request', 'the only expectation met is 100-continue'))
    })
    // No upgrade, no tunnel (P17): answered like any other request, the connection closes.
    this.#server.on('connect', (_request, socket: Socket) =>
      refuseSocket(socket, 405, 'method_not_allowed', 'CONNECT is not served here'),
    )
    this.#server.on('upgrade', (_request, socket: Socket) =>
      refuseSocket(socket, 400, 'invalid_request', 'no protocol upgrade is served here'),
    )
    this.#sweep = setInterval(() => this.buffers.sweep(), 1_000)
    this.#sweep.unref()
  }

  static async listen(options: FrontOptions): Promise<Front> {
    const front = new Front(options)
    await new Promise<void>((resolve, reject) => {
      front.#server.once('error', (error: NodeJS.ErrnoException) => reject(listenProblem(error, options)))
      front.#server.listen({ host: options.host, port: options.port, backlog: 1024 }, resolve)
    })
    return front
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : this.#options.port
  }

  get connections(): number {
    return this.#connections
  }

  /** Takes new certificates without closing anything. */
  setTls(cert: Buffer, key: Buffer): void {
    if ('setSecureContext' in this.#server) this.#server.setSecureContext({ cert, key })
  }

  /** Takes no new connection; the open ones close after their answer. */
  drain(): void {
    this.#draining = true
    this.#server.close()
    this.#server.closeIdleConnections()
  }

  async close(): Promise<void> {
    clearInterval(this.#sweep)
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
  }

  #connected(socket: Socket): void {
    this.#connections++
    socket.once('close', () => {
      this.#connections--
    })
    if (this.#connections > this.#options.limits.connectionsMax) {
      refuseSocket(socket, 503, 'overloaded', 'too many open connections; try again shortly', 'retry-after: 1\r\n')
    }
  }

  #take(request: IncomingMessage, response: ServerResponse, refusal?: SpillwayError): void {
    const socket = request.socket
    const waiting = this.#turns.get(socket)
    if (waiting === undefined) {
      this.#turns.set(socket, [])
      this.#begin(request, response, refusal)
    } else {
      waiting.push(() => this.#begin(request, response, refusal))
    }
  }

  #begin(request: IncomingMessage, response: ServerResponse, refusal: SpillwayError | undefined): void {
    const socket = request.socket
    // 'close' of a response comes after its end, and at once when the connection is lost.
    response.on('close', () => {
      const waiting = this.#turns.get(socket)
      const next = socket.destroyed ? undefined : waiting?.shift()
      if (next === undefined) this.#turns.delete(socket)
      else next()
    })
    const exchange = new NodeExchange(request, response, this.buffers)
    if (this.#draining) exchange.closeAfter()
    const problem = checkHead(request.httpVersion, request.url ?? '', request.rawHeaders)
    if (problem !== undefined) {
      // Where a message ends may be in doubt: nothing more is read from this connection.
      exchange.closeAfter()
      this.#options.handler(exchange, new SpillwayError(problem.code, problem.message))
      return
    }
    this.#options.handler(exchange, refusal)
  }
}

function listenProblem(error: NodeJS.ErrnoException, options: FrontOptions): Error {
  const place = `${options.host}:${options.port}`
  if (error.code === 'EADDRINUSE') {
    return new Error(`cannot listen on ${place}: the port is in use; stop the other process or set listen.port`)
  }
  if (error.code === 'EACCES') return new Error(`cannot listen on ${place}: not permitted; choose a port above 1023`)
  return new Error(`cannot listen on ${place}: ${error.message}`)
}

/** Heads that Node's parser gave up on: answered in the envelope, then closed. */
function answerBrokenHead(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  if (error.code === 'HPE_HEADER_OVERFLOW') {
    refuseSocket(socket, 431, 'head_too_large', `the request head is larger than ${headBytesMax} bytes`)
  } else if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    refuseSocket(socket, 408, 'request_timeout', 'the request took too long to arrive')
  } else {
    refuseSocket(socket, 400, 'invalid_request', 'this is not a well-formed HTTP/1.1 request')
  }
}

function refuseSocket(socket: Socket, status: number, code: ErrorCode, message: string, extra = ''): void {
  const body = errorBody(code, message, null)
  socket.on('error', () => socket.destroy())
  socket.end(
    `HTTP/1.1 ${status} Refused\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${extra}connection: close\r\n\r\n${body}`,
  )
  // What the client still sends is thrown away for a moment, so that it can read the answer; then the socket goes.
  setTimeout(() => socket.destroy(), 1_000).unref()
}
