import { randomBytes } from 'node:crypto'
import type { RateLimiter } from '../adapters/limits/rate-limiter.ts'
import type { PriceBook } from '../adapters/price-book/price-book.ts'
import type { Provider } from '../adapters/providers/provider.ts'
import type { Storage } from '../adapters/storage/storage.ts'
import type { Config } from '../config/config.ts'
import type { Clock } from '../core/clock.ts'
import { type ErrorCode, errorCodes } from '../core/errors.ts'
import type { EndpointHealth } from '../core/events.ts'
import type { EndpointId } from '../core/ids.ts'
import type { Random } from '../core/random.ts'
import { Scheduler, type SchedulerSnapshot } from '../core/scheduler.ts'
import { SpillwayError } from '../core/spillway-error.ts'
import { Dispatcher, type EventLog } from './dispatcher.ts'
import { explain } from './explain.ts'
import type { BodyProblem, HttpExchange } from './http/exchange.ts'
import { Front } from './http/front.ts'
import { InputEstimate } from './input-estimate.ts'
import { type Caller, KeyTable } from './key-table.ts'
import type { Observer, RequestSummary } from './observer.ts'
import { type Access, Plane } from './plane.ts'
import { Prober } from './prober.ts'
import { refuse, retryCountOf } from './refusal.ts'
import { Relay, type RelayHouse } from './relay.ts'
import { readBody, readQuestion } from './request-body.ts'
import { allowedMethod, isHealthPath, operationOf, routeOf } from './routes.ts'

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
}

/** The data plane: listens, decides through the core, relays, and keeps going through reloads until it is drained. */
export class Gateway {
  readonly #options: GatewayOptions
  readonly #scheduler: Scheduler
  readonly #dispatcher: Dispatcher
  readonly #keys: KeyTable
  readonly #prober: Prober
  readonly #open = new Set<Relay>()
  readonly #house: RelayHouse
  /** Unique over restarts and replicas: 48 random bits, then a count. */
  readonly #idPrefix = `req_${randomBytes(6).toString('hex')}`
  /** Resolves once every provider was tried once. */
  firstProbe: Promise<void> = Promise.resolve()
  #front: Front | undefined
  #plane: Plane
  #requests = 0
  #probed = false
  #draining = false

  private constructor(options: GatewayOptions) {
    this.#options = options
    const { config, clock, storage, limiter, observer } = options
    this.#scheduler = new Scheduler(
      { attemptsMax: config.limits.attemptsMax, queueLengthMax: config.limits.queueLengthMax },
      options.random,
    )
    this.#dispatcher = new Dispatcher(
      this.#scheduler,
      clock,
      (id, state) => options.onEndpointState?.(id, state),
      options.eventLog,
    )
    this.#keys = new KeyTable(storage.directory)
    this.#prober = new Prober(this.#dispatcher, (name, problem) => options.onProviderState?.(name, problem))
    this.#plane = new Plane({
      config,
      providers: options.providers,
      priceBook: options.priceBook,
      wallMs: clock.wallMs(),
      version: 1,
    })
    this.#house = {
      clock,
      dispatcher: this.#dispatcher,
      journal: storage.journal,
      limiter,
      observer,
      estimate: new InputEstimate(),
      plane: () => this.#plane,
      open: this.#open,
    }
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
      handler: (exchange, refusal) => gateway.#handle(exchange, refusal),
      unread: (code) => gateway.#unread(code),
    })
    gateway.firstProbe = gateway.#prober.watch(gateway.#plane).then(() => {
      gateway.#probed = true
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

  setTls(cert: Buffer, key: Buffer): void {
    this.#front?.setTls(cert, key)
  }

  /** Puts a new configuration in force at once: no request fails for it, no stream is cut. */
  reload(config: Config, providers: ReadonlyMap<string, Provider>): void {
    const { priceBook, clock } = this.#options
    this.#installPlane(
      new Plane({ config, providers, priceBook, wallMs: clock.wallMs(), version: this.#plane.version + 1 }),
    )
    void this.#prober.watch(this.#plane)
  }

  /** Takes nothing new, lets open answers run on for `drainMs`, then ends them visibly. */
  async drain(drainMs: number): Promise<void> {
    this.#draining = true
    this.#front?.drain()
    const dueMs = this.#options.clock.nowMs() + drainMs
    while (this.#open.size > 0 && this.#options.clock.nowMs() < dueMs) await pause(20)
    for (const relay of [...this.#open])
      relay.giveUp('draining', 'this instance is shutting down; the answer is not whole')
    // What was given up is settled within the next journal cycles.
    for (let round = 0; round < 100 && this.#open.size > 0; round++) await pause(20)
  }

  async stop(): Promise<void> {
    this.#prober.stop()
    this.#dispatcher.stop()
    await this.#front?.close()
  }

  #installPlane(plane: Plane): void {
    this.#plane = plane
    this.#dispatcher.tell({ kind: 'endpoints-changed', endpoints: plane.endpoints, routing: plane.routing })
    this.#dispatcher.eligibilityChanged(plane)
  }

  #nextRequestId(): string {
    return `${this.#idPrefix}${(++this.#requests).toString(36)}`
  }

  /** A request that was refused before its head could be read: counted, and named for its answer. */
  #unread(code: ErrorCode): string {
    const requestId = this.#nextRequestId()
    this.#options.observer.finished(refusedSummary(requestId, code))
    return requestId
  }

  #handle(exchange: HttpExchange, refusal: SpillwayError | undefined): void {
    const requestId = this.#nextRequestId()
    const arrivedMs = this.#options.clock.nowMs()
    this.#guard(exchange, requestId, () => {
      // Where all connections are taken, whoever watches over this instance still gets its word.
      if (refusal !== undefined && !(refusal.code === 'overloaded' && isHealthPath(exchange.path))) throw refusal
      const route = routeOf(exchange)
      switch (route.kind) {
        case 'livez':
          return sendJson(exchange, requestId, 200, { status: 'alive' })
        case 'readyz':
          return this.#readyz(exchange, requestId)
        case 'models':
          return this.#models(exchange, requestId)
        case 'model':
          return this.#model(exchange, requestId, route.name)
        case 'explain':
          return this.#withBody(exchange, requestId, (caller, body) => this.#explain(exchange, requestId, caller, body))
        case 'relay':
          return this.#withBody(exchange, requestId, (caller, body) => {
            const facts = readBody(body, route.operation)
            const access = this.#accessOf(caller, facts.model)
            if (access.eligible.indices.length === 0) throw noEligible(facts.model, access)
            new Relay(this.#house, {
              id: requestId,
              exchange,
              operation: route.operation,
              caller,
              access,
              body: facts,
              arrivedMs,
            }).start()
          })
      }
    })
  }

  /** Authenticates before a byte of the body is read, then reads it. */
  #withBody(exchange: HttpExchange, requestId: string, serve: (caller: Caller, body: Buffer) => void): void {
    const caller = this.#keys.authenticate(exchange)
    if (this.#draining)
      throw new SpillwayError('draining', 'this instance is shutting down; ask again', { retryAfterMs: 1_000 })
    if (!this.#options.storage.journal.healthy) {
      throw new SpillwayError('storage_unavailable', 'requests cannot be recorded at this moment; try again shortly', {
        retryAfterMs: 1_000,
      })
    }
    const contentType = exchange.header('content-type')
    if (contentType !== undefined && !/^application\/json\s*(?:;|$)/i.test(contentType)) {
      throw new SpillwayError('unsupported_content_type', 'the body must be application/json')
    }
    const { bodyBytesMax } = this.#plane.config.limits
    exchange.readBody(bodyBytesMax, (body) => {
      this.#guard(
        exchange,
        requestId,
        () => {
          if (typeof body === 'string') throw bodyError(body, bodyBytesMax)
          serve(caller, body)
        },
        caller,
      )
    })
  }

  /** Turns what is thrown into an answer. Our own bugs become a 500 that says nothing of the inside. */
  #guard(exchange: HttpExchange, requestId: string, serve: () => void, caller?: Caller): void {
    try {
      serve()
    } catch (thrown) {
      const error =
        thrown instanceof SpillwayError
          ? thrown
          : new SpillwayError(
              'internal_error',
              'something went wrong here; the operator can find this request by its id',
              { cause: thrown },
            )
      if (error.code === 'internal_error') process.emitWarning(thrown instanceof Error ? thrown : String(thrown))
      const extra = error.code === 'method_not_allowed' ? ['allow', allowedMethod(exchange.path)] : []
      // A body that is not JSON may be the wrong piece of what the client sends: what follows it is not served.
      if (error.code === 'invalid_json') exchange.closeAfter()
      if (caller !== undefined) this.#recordRefusal(requestId, caller, error)
      refuse(exchange, error, requestId, extra)
      this.#options.observer.finished({
        ...refusedSummary(requestId, error.code),
        operation: operationOf(exchange.path),
        tenant: caller?.tenant.id,
        plan: caller?.tenant.plan,
        keyId: caller?.key.id,
        retryCount: retryCountOf(exchange),
      })
    }
  }

  #recordRefusal(requestId: string, caller: Caller, error: SpillwayError): void {
    this.#options.storage.journal.append([
      {
        kind: 'refuse',
        id: requestId,
        wallMs: this.#options.clock.wallMs(),
        tenant: caller.tenant.id,
        keyId: caller.key.id,
        model: '',
        status: errorCodes[error.code].status,
        code: error.code,
      },
    ])
  }

  #accessOf(caller: Caller, model: string): Access {
    const access = this.#plane.access(caller, model)
    if (access === undefined) throw modelNotFound(model)
    if (!access.locationAllowed) throw locationError(this.#plane.config.location)
    return access
  }

  #explain(exchange: HttpExchange, requestId: string, caller: Caller, body: Buffer): void {
    const question = readQuestion(body)
    const access = this.#plane.access(caller, question.model)
    if (access === undefined) throw modelNotFound(question.model)
    const affinity = question.affinity && `${caller.tenant.id}/${question.affinity}`
    const nowMs = this.#options.clock.nowMs()
    sendJson(
      exchange,
      requestId,
      200,
      explain(this.#plane, this.#scheduler, caller, question.model, access, affinity, nowMs),
    )
  }

  #models(exchange: HttpExchange, requestId: string): void {
    const caller = this.#keys.authenticate(exchange)
    const data = Object.keys(this.#plane.config.models)
      .filter((name) => this.#mayUse(caller, name))
      .map(modelObject)
    sendJson(exchange, requestId, 200, { object: 'list', data })
  }

  #model(exchange: HttpExchange, requestId: string, name: string): void {
    const caller = this.#keys.authenticate(exchange)
    if (!this.#mayUse(caller, name)) throw modelNotFound(name)
    sendJson(exchange, requestId, 200, modelObject(name))
  }

  #mayUse(caller: Caller, name: string): boolean {
    const access = this.#plane.access(caller, name)
    return access?.locationAllowed === true && access.eligible.indices.length > 0
  }

  #readyz(exchange: HttpExchange, requestId: string): void {
    const journal = this.#options.storage.journal.healthy
    const ready = !this.#draining && journal && this.#probed
    sendJson(exchange, requestId, ready ? 200 : 503, {
      status: this.#draining ? 'draining' : ready ? 'ready' : 'not ready',
      journal: journal ? 'ok' : 'failing',
      unreachable: [...this.#prober.down.keys()],
    })
  }
}

/** What is known of every request that was refused before a try. */
function refusedSummary(requestId: string, code: ErrorCode): RequestSummary {
  return {
    requestId,
    operation: 'none',
    tenant: undefined,
    plan: undefined,
    keyId: undefined,
    model: undefined,
    stream: false,
    status: errorCodes[code].status,
    code,
    state: 'refused',
    attempts: 0,
    endpoint: undefined,
    tokens: undefined,
    source: undefined,
    nanoUsd: 0,
    durationMs: 0,
    firstByteMs: undefined,
    overheadMs: undefined,
    retryCount: 0,
  }
}

function sendJson(exchange: HttpExchange, requestId: string, status: number, value: unknown): void {
  const body = Buffer.from(JSON.stringify(value))
  exchange.head(status, [
    'content-type',
    'application/json',
    'x-request-id',
    requestId,
    'cache-control',
    'no-store',
    'content-length',
    String(body.length),
  ])
  exchange.end(body)
}

function modelNotFound(name: string): SpillwayError {
  return new SpillwayError(
    'model_not_found',
    `the model ${JSON.stringify(name.slice(0, 100))} is not served here; GET /v1/models lists those that are`,
    { param: 'model' },
  )
}

function modelObject(id: string): object {
  return { id, object: 'model', created: 0, owned_by: 'spillway' }
}

function bodyError(problem: BodyProblem, bytesMax: number): SpillwayError {
  if (problem === 'too-large')
    return new SpillwayError('request_too_large', `the body is larger than ${bytesMax} bytes`)
  if (problem === 'too-slow') return new SpillwayError('request_timeout', 'the body took too long to arrive')
  return new SpillwayError('overloaded', 'too many large requests are open; try again shortly', { retryAfterMs: 1_000 })
}

/** Says which rule removed each place, so that the caller's privacy officer can read it. */
function noEligible(model: string, access: Access): SpillwayError {
  if (access.excluded.some(({ rule }) => rule === 'price')) {
    return new SpillwayError(
      'price_unknown',
      `no place that this workspace's terms allow has a known price for ${model}, and there is a budget in dollars to keep; the operator can set usdPerMillionTokens`,
      { param: 'model' },
    )
  }
  const reasons = new Map<string, number>()
  for (const { rule } of access.excluded) reasons.set(rule, (reasons.get(rule) ?? 0) + 1)
  const words = [...reasons].map(([rule, count]) => `${count} by ${rule}`).join(', ')
  const { length } = access.excluded
  return new SpillwayError(
    'no_eligible_endpoint',
    `no place that serves ${model} is allowed by this workspace's terms: ${length} ${length === 1 ? 'is' : 'are'} excluded (${words}); POST /v1/explain shows each`,
    { param: 'model' },
  )
}

function locationError(location: { readonly country: string; readonly subProcessor: string }): SpillwayError {
  return new SpillwayError(
    'location_not_allowed',
    `this instance runs in ${location.country} at ${location.subProcessor}, which this workspace's terms do not allow`,
  )
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
