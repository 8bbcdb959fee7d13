import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls'
import type { TrafficLimits } from '../../config/config.ts'
import type { ErrorCode } from '../../core/errors.ts'
import { SpillwayError } from '../../core/spillway-error.ts'
import { BodyBuffers } from './body-buffers.ts'
import { ClientConnection, type ConnectionHouse } from './client-connection.ts'
import { connectionShare, descriptorsMax } from './connection-share.ts'
import type { HttpExchange } from './exchange.ts'
import { listen } from './listen.ts'

/** Connections beyond `connectionsMax` are told so instead of being dropped, and may still ask for the health. */
const surplusShare = 0.05
const surplusMin = 16
const surplusMs = 1_000

/** Deadlines of heads and bodies are looked at this often. */
const sweepMs = 1_000

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

/** The listener that faces clients: takes connections, refuses what is not one clear HTTP/1.1 request, hands on the rest. */
export class Front {
  readonly buffers: BodyBuffers
  readonly #server: Server | TlsServer
  readonly #options: FrontOptions
  readonly #house: ConnectionHouse
  readonly #connections = new Set<ClientConnection>()
  readonly #sweep: NodeJS.Timeout
  #connectionsMax = 0
  #surplusMax = 0
  #closeSockets: () => Promise<void> = async () => {}
  /** TLS or not, greeted or not. */
  readonly #sockets = new Set<Socket>()

  private constructor(options: FrontOptions) {
    this.#options = options
    const { limits, tls, nowMs } = options
    this.buffers = new BodyBuffers(limits.buffersBytesMax, limits.requestBodyMs, nowMs)
    this.#house = {
      buffers: this.buffers,
      nowMs,
      requestHeadMs: limits.requestHeadMs,
      stallMs: limits.streamIdleMs,
      draining: false,
      date: new Date().toUTCString(),
      take: (exchange, problem, isSurplus) =>
        options.handler(exchange, problem ?? (isSurplus ? this.#tooManyConnections() : expectationProblem(exchange))),
      unread: (code) => options.unread(code),
    }
    // The connection decides what it means that a client closes its side.
    const settings = { ...socketSettings, allowHalfOpen: true }
    this.#server =
      tls === undefined
        ? createServer(settings)
        : createTlsServer({
            ...settings,
            ...tls,
            handshakeTimeout: limits.requestHeadMs,
            ALPNProtocols: ['http/1.1'],
          })
    this.setLimits(limits)
    this.#server.on('connection', (socket: Socket) => this.#bound(socket))
    this.#server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => this.#connected(socket))
    this.#server.on('tlsClientError', (_error: Error, socket: Socket) => socket.destroy())
    this.#sweep = setInterval(() => this.#sweepAll(), sweepMs)
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
    this.#house.requestHeadMs = limits.requestHeadMs
    this.#house.stallMs = limits.streamIdleMs
    this.buffers.setLimits(limits.buffersBytesMax, limits.requestBodyMs)
    this.#connectionsMax = connectionShare(limits.connectionsMax, descriptorsMax())
    this.#surplusMax = Math.max(surplusMin, Math.ceil(this.#connectionsMax * surplusShare))
  }

  /**
   * From now on each connection closes after its answer. New ones are still taken, so that a load balancer that asks
   * whether this instance is ready is told that it is not, instead of finding nobody.
   */
  drain(): void {
    this.#house.draining = true
    for (const connection of this.#connections) if (connection.isIdle) connection.destroy()
  }

  async close(): Promise<void> {
    clearInterval(this.#sweep)
    const closed = this.#closeSockets()
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
      for (const socket of this.#sockets) socket.destroy()
    })
    await closed
  }

  /** Beyond those who are told that they are too many, connections are dropped. */
  #bound(socket: Socket): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    if (this.#sockets.size > this.#connectionsMax + this.#surplusMax) socket.destroy()
  }

  #connected(socket: Socket): void {
    const isSurplus = this.#connections.size >= this.#connectionsMax
    const connection = new ClientConnection(socket, this.#house, isSurplus)
    this.#connections.add(connection)
    socket.once('close', () => this.#connections.delete(connection))
    if (isSurplus) setTimeout(() => socket.destroy(), surplusMs).unref()
  }

  #sweepAll(): void {
    this.#house.date = new Date().toUTCString()
    this.buffers.sweep()
    const nowMs = this.#options.nowMs()
    for (const connection of this.#connections) connection.sweep(nowMs)
  }

  #tooManyConnections(): SpillwayError {
    return new SpillwayError(
      'overloaded',
      `more than ${this.#connectionsMax} connections are open here; try again shortly`,
      { retryAfterMs: 1_000 },
    )
  }
}

function expectationProblem(exchange: HttpExchange): SpillwayError | undefined {
  const expected = exchange.header('expect')
  if (expected === undefined || expected.toLowerCase() === '100-continue') return undefined
  return new SpillwayError('invalid_request', 'the only expectation met is 100-continue')
}

function listenProblem(error: NodeJS.ErrnoException, options: FrontOptions): Error {
  const place = `${options.host}:${options.port}`
  if (error.code === 'EADDRINUSE') {
    return new Error(`cannot listen on ${place}: the port is in use; stop the other process or set listen.port`)
  }
  if (error.code === 'EACCES') return new Error(`cannot listen on ${place}: not permitted; choose a port above 1023`)
  return new Error(`cannot listen on ${place}: ${error.message}`)
}
