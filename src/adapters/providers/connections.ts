import type { Socket } from 'node:net'
import { buildConnector, Client } from 'undici'

/** One connection, or one about to be made. Carries one exchange at a time. */
export interface Connection {
  readonly client: Client
  socket: Socket | undefined
  /** Its socket has carried an exchange before the one under way. */
  used: boolean
  busy: boolean
  restedAtMs: number
}

export interface ConnectionOptions {
  readonly connectMs: number
  /** An idle connection is closed after this long, or sooner where the vendor says so. */
  readonly keepAliveMs: number
}

/** The servers that engines bring along (uvicorn, Node) close after 5 s: before that, none is used as it closes. */
export const engineKeepAliveMs = 4_000
/** Clouds keep idle connections for longer than this; a new one to another country costs three round trips. */
export const cloudKeepAliveMs = 30_000

/**
 * After an answer a connection rests this long. What a broken vendor sends past the end of its answer comes in that
 * time and ends the connection, where it would have been taken for the answer to the next request.
 */
const restMs = 20

/**
 * The connections to one origin. The one used last goes first, so that those a quiet time does not need run out; a new
 * one is made where all are busy or resting. How many there are at most is up to the endpoints' own limits.
 */
export class Connections {
  readonly #origin: string
  readonly #options: ConnectionOptions
  readonly #connect: buildConnector.connector
  readonly #all = new Set<Connection>()
  /** In the order they were put to rest. */
  #resting: Connection[] = []
  #ready: Connection[] = []
  #timer: NodeJS.Timeout | undefined
  #closing: Promise<void> | undefined
  #lastGone: () => void = () => {}

  constructor(origin: string, options: ConnectionOptions) {
    this.#origin = origin
    this.#options = options
    this.#connect = buildConnector({ timeout: options.connectMs, keepAlive: true, noDelay: true, allowH2: false })
  }

  get isClosed(): boolean {
    return this.#closing !== undefined
  }

  take(): Connection {
    for (let next = this.#ready.pop(); next !== undefined; next = this.#ready.pop()) {
      if (next.socket?.destroyed !== false) continue
      next.busy = true
      return next
    }
    return this.#make()
  }

  /** Its exchange is over, and the connection can carry another. */
  rest(connection: Connection): void {
    if (this.isClosed || connection.socket?.destroyed !== false) return this.drop(connection)
    connection.busy = false
    connection.used = true
    connection.restedAtMs = performance.now()
    this.#resting.push(connection)
    this.#wakeIn(restMs)
  }

  /** Closes it at once. */
  drop(connection: Connection): void {
    if (!this.#all.delete(connection)) return
    if (!connection.busy) {
      this.#resting = this.#resting.filter((one) => one !== connection)
      this.#ready = this.#ready.filter((one) => one !== connection)
    }
    // Not from inside one of its own callbacks.
    queueMicrotask(() => connection.client.destroy())
    if (this.#all.size === 0) this.#lastGone()
  }

  /** Closes what is idle; resolves when the exchanges under way have ended too. */
  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#lastGone = resolve
      for (const connection of [...this.#all]) if (!connection.busy) this.drop(connection)
      if (this.#all.size === 0) resolve()
    })
    return this.#closing
  }

  #wakeIn(ms: number): void {
    this.#timer ??= setTimeout(() => {
      const restedFromMs = performance.now() - restMs
      // After what has come in the meantime was read, however late this timer is.
      setImmediate(() => this.#wake(restedFromMs))
    }, ms).unref()
  }

  #wake(restedFromMs: number): void {
    this.#timer = undefined
    const rested = this.#resting.findIndex(({ restedAtMs }) => restedAtMs > restedFromMs)
    this.#ready.push(...this.#resting.splice(0, rested < 0 ? this.#resting.length : rested))
    const [next] = this.#resting
    if (next !== undefined) this.#wakeIn(Math.max(1, next.restedAtMs + restMs - performance.now()))
  }

  #make(): Connection {
    const client = new Client(this.#origin, {
      pipelining: 1,
      allowH2: false,
      connect: (options, done) =>
        this.#connect(options, (...outcome) => {
          connection.socket = outcome[1] ?? undefined
          connection.used = false
          done(...outcome)
        }),
      // Silence is watched for where it is known what is waited for.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: this.#options.keepAliveMs,
      keepAliveMaxTimeout: keepAliveMsMax,
      maxHeaderSize: headBytesMax,
    })
    const connection: Connection = { client, socket: undefined, used: false, busy: true, restedAtMs: 0 }
    // A busy one makes itself a new socket where its request had not been sent yet.
    client.on('disconnect', () => {
      if (!connection.busy) this.drop(connection)
    })
    this.#all.add(connection)
    return connection
  }
}

/** Of what a vendor's `Keep-Alive` header promises, so much is believed. */
const keepAliveMsMax = 60_000
const headBytesMax = 64 * 1024
