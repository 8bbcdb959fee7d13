import type { RateLimiter } from '../adapters/limits/rate-limiter.ts'
import type { PriceBook } from '../adapters/price-book/price-book.ts'
import type { Provider } from '../adapters/providers/provider.ts'
import type { Storage } from '../adapters/storage/storage.ts'
import type { Config } from '../config/config.ts'
import type { Clock } from '../core/clock.ts'
import type { EndpointHealth } from '../core/events.ts'
import { FlatMap } from '../core/flat-map.ts'
import type { EndpointId, RequestId } from '../core/ids.ts'
import type { Random } from '../core/random.ts'
import { Scheduler, type SchedulerSnapshot } from '../core/scheduler.ts'
import { type BrownoutReading, Brownouts } from './brownout.ts'
import { Dispatcher, type EventLog } from './dispatcher.ts'
import { Front } from './http/front.ts'
import { InputEstimate } from './input-estimate.ts'
import { KeyTable } from './key-table.ts'
import type { Observer } from './observer.ts'
import { Plane } from './plane.ts'
import { Prober } from './prober.ts'
import type { Relay, RelayHouse } from './relay.ts'
import { type Lifecycle, RequestHandler } from './request-handler.ts'

export interface GatewayOptions {
  readonly config: Config
  readonly providers: ReadonlyMap<string, Provider>
  readonly storage: Storage
  readonly limiter: RateLimiter
  readonly priceBook: PriceBook
  readonly clock: Clock
  readonly random: Random
  readonly observer: Observer
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer }
  readonly eventLog?: EventLog
  readonly onEndpointState?: (endpoint: EndpointId, state: EndpointHealth) => void
  /** A provider cannot be reached (with the problem in words), or can again. */
  readonly onProviderState?: (provider: string, problem: string | undefined) => void
  /** Something was thrown that nobody foresaw. What it holds may be private. */
  readonly onBug?: (requestId: string, thrown: unknown) => void
}

/** The data plane: listens, decides through the core, relays, and keeps going through reloads until it is drained. */
export class Gateway {
  readonly #options: GatewayOptions
  readonly #scheduler: Scheduler
  readonly #dispatcher: Dispatcher
  readonly #prober: Prober
  readonly #brownouts: Brownouts
  readonly #open = new FlatMap<RequestId, Relay>()
  readonly #handler: RequestHandler
  readonly #lifecycle: Lifecycle = { probed: false, draining: false }
  /** Resolves once every provider was tried once. */
  firstProbe: Promise<void> = Promise.resolve()
  #front: Front | undefined
  #plane: Plane

  private constructor(options: GatewayOptions) {
    this.#options = options
    const { config, clock, storage, limiter, observer } = options
    this.#scheduler = new Scheduler(
      { attemptsMax: config.limits.attemptsMax, queueLengthMax: config.limits.queueLengthMax },
      options.random,
    )
    this.#brownouts = new Brownouts(this.#scheduler)
    this.#dispatcher = new Dispatcher(
      this.#scheduler,
      clock,
      (id, state) => options.onEndpointState?.(id, state),
      options.eventLog,
    )
    this.#prober = new Prober(this.#dispatcher, (name, problem) => options.onProviderState?.(name, problem))
    this.#plane = new Plane({
      config,
      providers: options.providers,
      priceBook: options.priceBook,
      wallMs: clock.wallMs(),
      version: 1,
    })
    const house: RelayHouse = {
      clock,
      dispatcher: this.#dispatcher,
      journal: storage.journal,
      limiter,
      observer,
      estimate: new InputEstimate(),
      plane: () => this.#plane,
      open: this.#open,
    }
    const keys = new KeyTable(storage.directory)
    storage.directory.onChange(() => this.#endRevoked(keys))
    this.#handler = new RequestHandler({
      house,
      keys,
      scheduler: this.#scheduler,
      brownouts: this.#brownouts,
      prober: this.#prober,
      lifecycle: this.#lifecycle,
      onBug: (requestId, thrown) => options.onBug?.(requestId, thrown),
    })
    this.#installPlane(this.#plane)
  }

  /** Starts to serve; resolves once the listener is open. Rejects with a clear message where it cannot listen. */
  static async start(options: GatewayOptions): Promise<Gateway> {
    const gateway = new Gateway(options)
    const { config, clock } = options
    gateway.#front = await Front.listen({
      host: config.listen.host,
      port: config.listen.port,
      ...(options.tls && { tls: options.tls }),
      limits: config.limits,
      nowMs: () => clock.nowMs(),
      handler: (exchange, refusal) => gateway.#handler.handle(exchange, refusal),
      unread: (code) => gateway.#handler.unread(code),
    })
    gateway.firstProbe = gateway.#prober.watch(gateway.#plane).then(() => {
      gateway.#lifecycle.probed = true
    })
    return gateway
  }

  get port(): number {
    return this.#front?.port ?? 0
  }

  /** Requests between their body and the end of their answer. */
  get openRequests(): number {
    return this.#open.size
  }

  get bufferedBytes(): number {
    return this.#front?.buffers.bytes ?? 0
  }

  /** Providers that cannot be reached, and why. */
  get unreachable(): ReadonlyMap<string, string> {
    return this.#prober.down
  }

  snapshot(): SchedulerSnapshot {
    return this.#scheduler.snapshot(this.#options.clock.nowMs())
  }

  /** How far down its steps each class is for each model that it asked for; see `Brownouts`. */
  get brownouts(): readonly BrownoutReading[] {
    return this.#brownouts.readings()
  }

  setTls(cert: Buffer, key: Buffer): void {
    this.#front?.setTls(cert, key)
  }

  /** Puts a new configuration in force at once: no request fails for it, no stream is cut. */
  reload(config: Config, providers: ReadonlyMap<string, Provider>): void {
    const { priceBook, clock } = this.#options
    this.#installPlane(
      new Plane({ config, providers, priceBook, wallMs: clock.wallMs(), version: this.#plane.version + 1 }),
    )
    this.#front?.setLimits(config.limits)
    void this.#prober.watch(this.#plane)
  }

  /** Takes nothing new, lets open answers run on for `drainMs`, then ends them visibly. */
  async drain(drainMs: number): Promise<void> {
    this.#lifecycle.draining = true
    this.#front?.drain()
    const dueMs = this.#options.clock.nowMs() + drainMs
    while (this.#open.size > 0 && this.#options.clock.nowMs() < dueMs) await pause(20)
    for (const relay of this.#open.values())
      relay.giveUp('draining', 'this instance is shutting down; the answer is not whole')
    // What was given up is settled within the next journal cycles.
    for (let round = 0; round < 100 && this.#open.size > 0; round++) await pause(20)
  }

  async stop(): Promise<void> {
    this.#prober.stop()
    this.#dispatcher.stop()
    await this.#front?.close()
  }

  /** A key that is revoked, or whose tenant is gone, gets nothing more, not even the rest of an answer. */
  #endRevoked(keys: KeyTable): void {
    for (const relay of this.#open.values()) {
      if (!keys.has(relay.keyId))
        relay.giveUp('invalid_api_key', 'this API key was revoked while the request was open; the answer is not whole')
    }
  }

  #installPlane(plane: Plane): void {
    this.#plane = plane
    const { version, endpoints, routing } = plane
    this.#dispatcher.tell({ kind: 'endpoints-changed', version, endpoints, routing })
    this.#dispatcher.eligibilityChanged(plane)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
