import { randomBytes } from 'node:crypto'
import type { BrownoutStep } from '../core/brownout.ts'
import { type ErrorCode, errorCodes } from '../core/errors.ts'
import type { Scheduler } from '../core/scheduler.ts'
import type { ServiceTerms, ServiceTier } from '../core/service-class.ts'
import { SpillwayError } from '../core/spillway-error.ts'
import { type Brownouts, type BrownoutWords, brownoutHeader } from './brownout.ts'
import { explain } from './explain.ts'
import type { BodyProblem, HttpExchange } from './http/exchange.ts'
import type { Caller, KeyTable } from './key-table.ts'
import type { RequestSummary } from './observer.ts'
import type { Access, PlanTiers } from './plane.ts'
import type { Prober } from './prober.ts'
import { refuse, retryCountOf } from './refusal.ts'
import { Relay, type RelayHouse } from './relay.ts'
import type { RelayRequest } from './relay-request.ts'
import { readBody, readQuestion } from './request-body.ts'
import { allowedMethods, isHealthPath, operationOf, type Route, routeOf } from './routes.ts'

/** Where this instance stands between its start and its end. */
export interface Lifecycle {
  /** Every provider was asked once whether it is there. */
  probed: boolean
  draining: boolean
}

export interface RequestHandlerOptions {
  readonly house: RelayHouse
  readonly keys: KeyTable
  readonly scheduler: Scheduler
  readonly brownouts: Brownouts
  readonly prober: Prober
  readonly lifecycle: Lifecycle
  /** Something was thrown that nobody foresaw. What it holds may be private. */
  readonly onBug: (requestId: string, thrown: unknown) => void
}

/** One request while it is decided what becomes of it. */
interface Incoming {
  readonly id: string
  readonly exchange: HttpExchange
  readonly arrivedMs: number
  /** Known once its key was found good. */
  caller: Caller | undefined
  /** Known once its body was read and names a model that there is. */
  model: string | undefined
  /** What it does without; empty for most. */
  brownout: BrownoutWords
}

/** Answers what can be answered here, refuses what must be refused, hands the rest to a relay. */
export class RequestHandler {
  readonly #options: RequestHandlerOptions
  /** Unique over restarts and replicas: 48 random bits, then a count. */
  readonly #idPrefix = `req_${randomBytes(6).toString('hex')}`
  #requests = 0

  constructor(options: RequestHandlerOptions) {
    this.#options = options
  }

  /** Takes a request; `refusal` says why it is not to be served. */
  handle(exchange: HttpExchange, refusal: SpillwayError | undefined): void {
    const { clock } = this.#options.house
    const incoming: Incoming = {
      id: this.#nextId(),
      exchange,
      arrivedMs: clock.nowMs(),
      caller: undefined,
      model: undefined,
      brownout: [],
    }
    this.#guard(incoming, () => {
      // Where all connections are taken, whoever watches over this instance still gets its word.
      if (refusal !== undefined && !(refusal.code === 'overloaded' && isHealthPath(exchange.path))) throw refusal
      this.#serve(incoming, routeOf(exchange))
    })
  }

  /** Counts a request that was refused before its head could be read, and names it for its answer. */
  unread(code: ErrorCode): string {
    const id = this.#nextId()
    this.#options.house.observer.finished({ ...emptySummary, requestId: id, status: errorCodes[code].status, code })
    return id
  }

  #nextId(): string {
    return `${this.#idPrefix}${(++this.#requests).toString(36)}`
  }

  #serve(incoming: Incoming, route: Route): void {
    switch (route.kind) {
      case 'livez':
        return sendJson(incoming, 200, { status: 'alive' })
      case 'readyz':
        return this.#readyz(incoming)
      case 'models':
        return this.#models(incoming)
      case 'model':
        return this.#model(incoming, route.name)
      case 'explain':
        return this.#withBody(incoming, (caller, body) => this.#explain(incoming, caller, body))
      case 'relay':
        return this.#withBody(incoming, (caller, body) => {
          const { id, exchange, arrivedMs } = incoming
          const asked = readBody(body, route.operation)
          const access = this.#accessOf(incoming, caller, asked.model)
          if (!access.locationAllowed) throw locationNotAllowed(this.#options.house.plane().config.location)
          if (access.eligible.indices.length === 0) throw noEligibleEndpoint(asked.model, access)
          const { operation } = route
          const terms = termsFor(access.tiers, asked.tier)
          const request = {
            id,
            exchange,
            operation,
            caller,
            access,
            body: asked,
            terms,
            brownout: [],
            waitMs: 0,
            arrivedMs,
          }
          const served = access.brownout.length === 0 ? request : this.#brownedOut(incoming, request)
          new Relay(this.#options.house, served).start()
        })
    }
  }

  /** The request as its plan's brownout leaves it; throws where that turns it away. */
  #brownedOut(incoming: Incoming, request: RelayRequest): RelayRequest {
    const { house, brownouts } = this.#options
    const brownout = brownouts.apply(request, house.plane(), house.clock.nowMs())
    if (brownout === undefined) return request
    const { body, access, waitMs, words, refusedMs } = brownout
    incoming.brownout = words
    incoming.model = body.model
    if (refusedMs === undefined) return { ...request, body, access, waitMs, brownout: words }
    throw new SpillwayError(
      'overloaded',
      `more is asked of ${body.model} than there is, and the plan ${request.caller.tenant.plan} gives way; try again after the time given`,
      { retryAfterMs: refusedMs },
    )
  }

  /** Authenticates before a byte of the body is read, then reads it. */
  #withBody(incoming: Incoming, serve: (caller: Caller, body: Buffer) => void): void {
    const { exchange } = incoming
    const caller = this.#authenticate(incoming)
    this.#checkOpen()
    const contentType = exchange.header('content-type')
    // Without one the bytes decide.
    if (contentType !== undefined && !/^application\/json\s*(?:;|$)/i.test(contentType))
      throw new SpillwayError('unsupported_content_type', 'the body must be application/json')
    const { bodyBytesMax } = this.#options.house.plane().config.limits
    exchange.readBody(bodyBytesMax, (body) => {
      this.#guard(incoming, () => {
        if (typeof body === 'string') throw bodyError(body, bodyBytesMax)
        this.#checkOpen()
        serve(caller, body)
      })
    })
  }

  #authenticate(incoming: Incoming): Caller {
    const caller = this.#options.keys.authenticate(incoming.exchange)
    incoming.caller = caller
    return caller
  }

  /** Throws where nothing new is begun. */
  #checkOpen(): void {
    const { lifecycle, house } = this.#options
    if (lifecycle.draining) throw new SpillwayError('draining', 'this instance is shutting down; ask again')
    if (!house.journal.healthy)
      throw new SpillwayError('storage_unavailable', 'requests cannot be recorded at this moment; try again shortly')
  }

  /** Turns what is thrown into an answer. Our own bugs become a 500 that says nothing of the inside. */
  #guard(incoming: Incoming, serve: () => void): void {
    try {
      serve()
    } catch (thrown) {
      if (thrown instanceof SpillwayError) return this.#refuse(incoming, thrown)
      this.#options.onBug(incoming.id, thrown)
      this.#refuse(incoming, internalError(thrown))
    }
  }

  #refuse({ id, exchange, arrivedMs, caller, model, brownout }: Incoming, error: SpillwayError): void {
    const { clock, journal, observer } = this.#options.house
    const { code } = error
    const { status } = errorCodes[code]
    // A body that is not JSON may be the wrong piece of what the client sends: what follows it is not served.
    if (code === 'invalid_json') exchange.closeAfter()
    const extra = code === 'method_not_allowed' ? ['allow', allowedMethods(exchange.path)] : []
    refuse(exchange, error, id, [...extra, ...brownoutHeader(brownout)])
    if (caller !== undefined) {
      const who = { tenant: caller.tenant.id, keyId: caller.key.id }
      journal.append([{ kind: 'refuse', id, wallMs: clock.wallMs(), ...who, model: model ?? '', status, code }])
    }
    observer.finished({
      ...emptySummary,
      requestId: id,
      operation: operationOf(exchange.path),
      tenant: caller?.tenant.id,
      plan: caller?.tenant.plan,
      keyId: caller?.key.id,
      model,
      status,
      code,
      durationMs: clock.nowMs() - arrivedMs,
      retryCount: retryCountOf(exchange),
      brownout,
    })
  }

  #accessOf(incoming: Incoming, caller: Caller, model: string): Access {
    const access = this.#options.house.plane().access(caller, model)
    if (access === undefined) throw modelNotFound(model)
    incoming.model = model
    return access
  }

  #explain(incoming: Incoming, caller: Caller, body: Buffer): void {
    const { house, scheduler } = this.#options
    const { model, affinity } = readQuestion(body)
    const access = this.#accessOf(incoming, caller, model)
    const own = affinity === undefined ? undefined : `${caller.tenant.id}/${affinity}`
    const nowMs = house.clock.nowMs()
    const explanation = explain(house.plane(), scheduler, caller, model, access, own, nowMs)
    const { byName } = access.tiers
    const steps = access.brownout
    const level = steps.length === 0 ? 0 : this.#options.brownouts.level(model, access, byName.default, nowMs)
    sendJson(incoming, 200, { ...explanation, brownout: steps.slice(0, level).map(stepShown) })
  }

  #models(incoming: Incoming): void {
    const caller = this.#authenticate(incoming)
    const names = Object.keys(this.#options.house.plane().config.models)
    const data = names.filter((name) => this.#mayUse(caller, name)).map((name) => this.#modelObject(name))
    sendJson(incoming, 200, { object: 'list', data })
  }

  #model(incoming: Incoming, name: string): void {
    const caller = this.#authenticate(incoming)
    if (!this.#mayUse(caller, name)) throw modelNotFound(name)
    sendJson(incoming, 200, this.#modelObject(name))
  }

  #mayUse(caller: Caller, name: string): boolean {
    const access = this.#options.house.plane().access(caller, name)
    return access?.locationAllowed === true && access.eligible.indices.length > 0
  }

  /** When a model was made is its vendors' knowledge; `created` says since when this configuration offers it. */
  #modelObject(id: string): object {
    const created = Math.floor(this.#options.house.plane().wallMs / 1_000)
    return { id, object: 'model', created, owned_by: 'spillway' }
  }

  #readyz(incoming: Incoming): void {
    const { lifecycle, house, prober } = this.#options
    const { healthy } = house.journal
    const ready = !lifecycle.draining && healthy && lifecycle.probed
    sendJson(incoming, ready ? 200 : 503, {
      status: lifecycle.draining ? 'draining' : ready ? 'ready' : 'not ready',
      journal: healthy ? 'ok' : 'failing',
      unreachable: [...prober.down.keys()],
    })
  }
}

/** What is said of a request that was refused before its head was read. */
const emptySummary = {
  operation: 'none',
  tenant: undefined,
  plan: undefined,
  keyId: undefined,
  model: undefined,
  stream: false,
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
  brownout: [],
} as const satisfies Partial<RequestSummary>

function sendJson({ id, exchange }: Incoming, status: number, value: unknown): void {
  const body = Buffer.from(JSON.stringify(value))
  exchange.head(status, [
    'content-type',
    'application/json',
    'x-request-id',
    id,
    'cache-control',
    'no-store',
    'content-length',
    String(body.length),
  ])
  exchange.end(body)
}

function internalError(thrown: unknown): SpillwayError {
  return new SpillwayError(
    'internal_error',
    'something went wrong here; the operator can find this request by its id',
    { cause: thrown },
  )
}

function modelNotFound(name: string): SpillwayError {
  return new SpillwayError(
    'model_not_found',
    `the model ${JSON.stringify(name.slice(0, 100))} is not served here; GET /v1/models lists those that are`,
    { param: 'model' },
  )
}

function bodyError(problem: BodyProblem, bytesMax: number): SpillwayError {
  switch (problem) {
    case 'too-large':
      return new SpillwayError('request_too_large', `the body is larger than ${bytesMax} bytes`)
    case 'too-slow':
      return new SpillwayError('request_timeout', 'the body took too long to arrive')
    case 'no-room':
      return new SpillwayError('overloaded', 'too many large requests are open; try again shortly')
  }
}

/** Says which rule removed each place, so that the caller's privacy officer can read it. */
function noEligibleEndpoint(model: string, access: Access): SpillwayError {
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

/** A tier that the plan does not have is served as the default one, or refused where the plan says so. */
function termsFor({ plan, byName, refusesOthers }: PlanTiers, asked: ServiceTier): ServiceTerms {
  const terms = byName[asked]
  if (terms !== undefined) return terms
  if (!refusesOthers) return byName.default
  throw new SpillwayError(
    'tier_not_allowed',
    `the plan ${plan} has no tier ${asked}; ask for one of ${Object.keys(byName).join(', ')}, or leave service_tier out`,
    { param: 'service_tier' },
  )
}

function locationNotAllowed(location: { readonly country: string; readonly subProcessor: string }): SpillwayError {
  return new SpillwayError(
    'location_not_allowed',
    `this instance runs in ${location.country} at ${location.subProcessor}, which this workspace's terms do not allow`,
  )
}

function stepShown({ above, models, outputTokensMax, without, waitMs, refuse }: BrownoutStep): object {
  return { above, models, output_tokens_max: outputTokensMax ?? null, without, wait_ms: waitMs ?? null, refuse }
}
