import { Connection, type Target } from './connection.ts'

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
 * A vendor that was caught sending past the end of an answer gets a new connection for each request for so long: what
 * it sends later than the rest takes would be believed.
 */
const distrustMs = 600_000
/** Idle connections are looked through this often. */
const sweepMs = 1_000

/**
 * The connections to one origin. The one used last goes first, so that those a quiet time does not need run out; a new
 * one is made where all are busy or resting. How many there are at most is up to the endpoints' own limits.
 */
export class Connections {
  /** What the `host` header of a request to it says. */
  readonly authority: string
  readonly #target: Target
  readonly #keepAliveMs: number
  #busy = 0
  #trustedFromMs = 0
  /** In the order they were put to rest. */
  #resting: Connection[] = []
  #ready: Connection[] = []
  #wakeTimer: NodeJS.Timeout | undefined
  #sweepTimer: NodeJS.Timeout | undefined
  #closing: Promise<void> | undefined
  #lastGone: () => void = () => {}

  constructor(origin: string, { connectMs, keepAliveMs }: ConnectionOptions) {
    const { protocol, host, hostname, port } = new URL(origin)
    const tls = protocol === 'https:'
    this.authority = host
    this.#target = {
      host: hostname.replace(/^\[(.*)\]$/, '$1'),
      port: port === '' ? (tls ? 443 : 80) : Number(port),
      tls,
      connectMs,
      tlsSession: undefined,
    }
    this.#keepAliveMs = keepAliveMs
  }

  get isClosed(): boolean {
    return this.#closing !== undefined
  }

  /** One that is busy from now on: `rest` or `drop` gives it back. */
  take(): Connection {
    this.#busy++
    const nowMs = performance.now()
    for (let next = this.#ready.pop(); next !== undefined; next = this.#ready.pop()) {
      if (next.idleUntilMs > nowMs) return next
      next.destroy()
    }
    return new Connection(this.#target, (connection, surplus) => {
      this.#forget(connection)
      if (surplus) this.distrust()
    })
  }

  /** Its exchange is over, and the connection can carry another. `hint`: the vendor's `keep-alive` header. */
  rest(connection: Connection, hint: string | string[] | undefined): void {
    const keepAliveMs = keptMs(hint, this.#keepAliveMs)
    if (performance.now() < this.#trustedFromMs) return this.drop(connection)
    if (this.isClosed || connection.isGone || !connection.isSent || keepAliveMs <= restMs) return this.drop(connection)
    connection.user = undefined
    connection.used = true
    connection.restedAtMs = performance.now()
    connection.idleUntilMs = connection.restedAtMs + keepAliveMs
    // What it was paused for is over: it has to be heard when it closes.
    connection.resume()
    this.#resting.push(connection)
    this.#wakeIn(restMs)
    this.#left()
  }

  /** Closes a busy one at once. */
  drop(connection: Connection): void {
    connection.destroy()
    this.#left()
  }

  /** The vendor sends bytes past the end of its answers: no connection to it carries two for a while. */
  distrust(): void {
    this.#trustedFromMs = performance.now() + distrustMs
    this.#closeIdle()
  }

  /** Closes what is idle; resolves when the exchanges under way have ended too. */
  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#lastGone = resolve
      this.#closeIdle()
      clearTimeout(this.#wakeTimer)
      clearInterval(this.#sweepTimer)
      if (this.#busy === 0) resolve()
    })
    return this.#closing
  }

  #left(): void {
    this.#busy--
    if (this.#busy === 0 && this.isClosed) this.#lastGone()
  }

  #closeIdle(): void {
    for (const connection of [...this.#resting, ...this.#ready]) connection.destroy()
    this.#resting = []
    this.#ready = []
  }

  #forget(connection: Connection): void {
    this.#resting = this.#resting.filter((one) => one !== connection)
    this.#ready = this.#ready.filter((one) => one !== connection)
  }

  #wakeIn(ms: number): void {
    this.#wakeTimer ??= setTimeout(() => {
      const restedFromMs = performance.now() - restMs
      // After what has come in the meantime was read, however late this timer is.
      setImmediate(() => this.#wake(restedFromMs))
    }, ms).unref()
  }

  #wake(restedFromMs: number): void {
    this.#wakeTimer = undefined
    const rested = this.#resting.findIndex(({ restedAtMs }) => restedAtMs > restedFromMs)
    this.#ready.push(...this.#resting.splice(0, rested < 0 ? this.#resting.length : rested))
    const [next] = this.#resting
    if (next !== undefined) this.#wakeIn(Math.max(1, next.restedAtMs + restMs - performance.now()))
    if (this.#ready.length > 0) this.#sweepTimer ??= setInterval(() => this.#sweep(), sweepMs).unref()
  }

  #sweep(): void {
    const nowMs = performance.now()
    for (const connection of this.#ready) if (connection.idleUntilMs <= nowMs) connection.destroy()
    this.#ready = this.#ready.filter(({ isGone }) => !isGone)
    if (this.#ready.length > 0) return
    clearInterval(this.#sweepTimer)
    this.#sweepTimer = undefined
  }
}

/** Of what a vendor's `Keep-Alive` header promises, so much is believed. */
const keepAliveMsMax = 60_000
/** And so much of it is left unused, so that none is used as it closes. */
const keepAliveMarginMs = 2_000

function keptMs(hint: string | string[] | undefined, ownMs: number): number {
  const seconds = /\btimeout=(\d{1,9})\b/i.exec(String(hint ?? ''))?.[1]
  return seconds === undefined ? ownMs : Math.min(keepAliveMsMax, Number(seconds) * 1_000 - keepAliveMarginMs)
}
