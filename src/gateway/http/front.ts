import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { TrafficLimits } from '../../config/config.ts'
import { type ErrorCode, errorCodes } from '../../core/errors.ts'
import { SpillwayError } from '../../core/spillway-error.ts'
import { errorBody, refusalHeaders } from '../refusal.ts'
import { BodyBuffers } from './body-buffers.ts'
import { connectionShare, descriptorsMax } from './connection-share.ts'
import type { HttpExchange } from './exchange.ts'
import { checkHead } from './head-check.ts'
import { endLingering } from './linger.ts'
import { listen } from './listen.ts'
import { type ExchangeSetting, NodeExchange } from './node-exchange.ts'

/** Request heads above this get 431 (P12). */
const headBytesMax = 16 * 1024

/** Requests that a client may send on one connection before the first of them is answered. */
const pipelinedMax = 16

/** Connections beyond `connectionsMax` are told so instead of being dropped, and may still ask for the health. */
const surplusShare = 0.05
const surplusMin = 16
const surplusMs = 1_000

const socketSettings = { keepAlive: false, noDelay: true, highWaterMark: 64 * 1024 }

/** What the front hands each request to. `refusal` says why it is not to be served. */
export type Handler = (exchange: HttpExchange, refusal: SpillwayError | undefined) => void

export interface FrontOptions {
  readonly host: string
  readonly port: number
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer }
  readonly limits: TrafficLimits
  readonly nowMs: () => number
  readonly handler: Handler
  /** Takes note of a request that ended before its head was read; gives the id to answer it with. */
  readonly unread: (code: ErrorCode) => string
}

interface Connection {
  /** The answer being given. */
  busy: ServerResponse | undefined
  /** Requests sent behind it: pipelining is taken, in turn. */
  readonly waiting: (() => void)[]
  readonly surplus: boolean
  /** Its last answer was given: what still comes is not looked at. */
  over: boolean
}

/** The listener that faces clients: takes connections, refuses what is not one clear HTTP/1.1 request, hands on the rest. */
export class Front {
  readonly buffers: BodyBuffers
  readonly #server: Server | TlsServer
  readonly #options: FrontOptions
  readonly #setting: ExchangeSetting
  #connectionsMax = 0
  #surplusMax = 0
  #closeSockets: () => Promise<void> = async () => {}
  readonly #connections = new WeakMap<Socket, Connection>()
  readonly #sweep: NodeJS.Timeout
  /** TLS or not, greeted or not. */
  #sockets = 0
  #open = 0

  private constructor(options: FrontOptions) {
    this.#options = options
    const { limits, tls } = options
    this.buffers = new BodyBuffers(limits.buffersBytesMax, limits.requestBodyMs, options.nowMs)
    this.#setting = { buffers: this.buffers, stallMs: limits.streamIdleMs, draining: false }
    const settings = {
      maxHeaderSize: headBytesMax,
      keepAliveTimeout: 75_000,
      connectionsCheckingInterval: 1_000,
      requireHostHeader: false,
      insecureHTTPParser: false,
      joinDuplicateHeaders: false,
      ...socketSettings,
    }
    this.#server =
      tls === undefined
        ? createServer(settings)
        : createTlsServer({ ...settings, ...tls, handshakeTimeout: limits.requestHeadMs })
    // Node drops headers beyond a number without a word; here the size of the head bounds them.
    this.#server.maxHeadersCount = 0
    this.setLimits(limits)
    this.#listen()
    this.#sweep = setInterval(() => this.buffers.sweep(), 1_000)
    this.#sweep.unref()
  }

  static async listen(options: FrontOptions): Promise<Front> {
    const front = new Front(options)
    const { host, port } = options
    try {
      front.#closeSockets = await listen(front.#server, { host, port, backlog: 1024 }, socketSettings)
    } catch (error) {
      throw listenProblem(error as NodeJS.ErrnoException, options)
    }
    return front
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : this.#options.port
  }

  /** Takes new certificates without closing anything. */
  setTls(cert: Buffer, key: Buffer): void {
    if ('setSecureContext' in this.#server) this.#server.setSecureContext({ cert, key })
  }

  /** Puts new limits in force for what comes from now on. */
  setLimits(limits: TrafficLimits): void {
    const server = this.#server
    server.headersTimeout = limits.requestHeadMs
    // The body has its own absolute time, kept by the sweep; this one is behind it.
    server.requestTimeout = limits.requestHeadMs + limits.requestBodyMs + 5_000
    this.buffers.setLimits(limits.buffersBytesMax, limits.requestBodyMs)
    this.#setting.stallMs = limits.streamIdleMs
    this.#connectionsMax = connectionShare(limits.connectionsMax, descriptorsMax())
    this.#surplusMax = Math.max(surplusMin, Math.ceil(this.#connectionsMax * surplusShare))
  }

  /**
   * From now on each connection closes after its answer. New ones are still taken, so that a load balancer that asks
   * whether this instance is ready is told that it is not, instead of finding nobody.
   */
  drain(): void {
    this.#setting.draining = true
    this.#server.closeIdleConnections()
  }

  async close(): Promise<void> {
    clearInterval(this.#sweep)
    const closed = this.#closeSockets()
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
    await closed
  }

  #listen(): void {
    const server = this.#server
    server.on('connection', (socket: Socket) => this.#bound(socket))
    server.on(this.#options.tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) =>
      this.#connected(socket),
    )
    server.on('request', (request, response) => this.#take(request, response))
    // 100-continue is said by `readBody`: nobody is asked to send what will not be read.
    server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => this.#take(request, response))
    server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
      this.#take(request, response, new SpillwayError('invalid_request', 'the only expectation met is 100-continue'))
    })
    // No tunnel (P17). Nor an upgrade: nobody listens for one, and a request that offers it is served as it is.
    server.on('connect', (_request, socket: Socket) =>
      this.#refuseUnread(socket, new SpillwayError('method_not_allowed', 'CONNECT is not served here'), ['allow', '']),
    )
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => this.#broken(error, socket))
  }

  /** Beyond those who are told that they are too many, connections are dropped. */
  #bound(socket: Socket): void {
    this.#sockets++
    socket.once('close', () => {
      this.#sockets--
    })
    if (this.#sockets > this.#connectionsMax + this.#surplusMax) socket.destroy()
  }

  #connected(socket: Socket): void {
    this.#open++
    socket.once('close', () => {
      this.#open--
    })
    const surplus = this.#open > this.#connectionsMax
    this.#connections.set(socket, { busy: undefined, waiting: [], surplus, over: false })
    if (surplus) setTimeout(() => socket.destroy(), surplusMs).unref()
  }

  #take(request: IncomingMessage, response: ServerResponse, refusal?: SpillwayError): void {
    const connection = this.#connections.get(request.socket)
    if (connection === undefined || connection.over) return
    if (connection.busy === undefined) this.#begin(connection, request, response, refusal)
    else if (connection.waiting.length < pipelinedMax)
      connection.waiting.push(() => this.#begin(connection, request, response, refusal))
    else request.socket.destroy()
  }

  #begin(
    connection: Connection,
    request: IncomingMessage,
    response: ServerResponse,
    refusal: SpillwayError | undefined,
  ): void {
    connection.busy = response
    // 'close' of a response comes after its end, and at once when the connection is lost.
    response.on('close', () => {
      connection.busy = undefined
      if (request.socket.writable) connection.waiting.shift()?.()
    })
    const exchange = new NodeExchange(request, response, this.#setting)
    const problem = checkHead(request.httpVersion, request.url ?? '', request.rawHeaders)
    if (problem !== undefined) {
      // Where a message ends may be in doubt: nothing more is read from this connection.
      exchange.closeAfter()
      this.#options.handler(exchange, new SpillwayError(problem.code, problem.message))
      return
    }
    // What follows an offer to upgrade may be of the other protocol.
    if (connection.surplus || exchange.header('upgrade') !== undefined) exchange.closeAfter()
    this.#options.handler(exchange, connection.surplus ? this.#tooManyConnections() : refusal)
  }

  #tooManyConnections(): SpillwayError {
    return new SpillwayError(
      'overloaded',
      `more than ${this.#connectionsMax} connections are open here; try again shortly`,
      { retryAfterMs: 1_000 },
    )
  }

  /** What Node's parser gave up on. */
  #broken(error: NodeJS.ErrnoException, socket: Socket): void {
    if (this.#connections.get(socket)?.over === true) return
    if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy()
    else this.#refuseUnread(socket, parserProblem(error))
  }

  /** Answers what is no request to hand on, and closes. */
  #refuseUnread(socket: Socket, error: SpillwayError, extra: readonly string[] = []): void {
    const connection = this.#connections.get(socket)
    const busy = connection?.busy
    // In the middle of an answer, or behind a whole request, this answer would be taken for another's.
    if (busy !== undefined && (busy.headersSent || busy.req.complete)) {
      socket.destroy()
      return
    }
    if (connection !== undefined) connection.over = true
    const body = errorBody(error.code, error.message, null)
    const headers = refusalHeaders(error, this.#options.unread(error.code), extra)
    headers.push('content-length', String(Buffer.byteLength(body)), 'connection', 'close')
    const { status } = errorCodes[error.code]
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n`
    for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`
    socket.on('error', () => socket.destroy())
    endLingering(socket, `${head}\r\n${body}`)
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

function parserProblem(error: NodeJS.ErrnoException): SpillwayError {
  switch (error.code) {
    case 'HPE_HEADER_OVERFLOW':
      return new SpillwayError('head_too_large', `the request head is larger than ${headBytesMax} bytes`)
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new SpillwayError('request_timeout', 'the request took too long to arrive')
    default:
      return new SpillwayError('invalid_request', 'this is not a well-formed HTTP/1.1 request')
  }
}
