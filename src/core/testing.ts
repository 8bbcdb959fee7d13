import type { Endpoint, RoutingPreset } from './endpoint.ts'
import type { Action, Attempt, Rejection, SchedulerEvent } from './events.ts'
import type { Failure } from './failure.ts'
import type { AttemptId, EndpointId, RequestId } from './ids.ts'
import { seededRandom } from './random.ts'
import { type Eligibility, eligibilityOf, type RequestFacts } from './request.ts'
import { Scheduler, type SchedulerPolicy } from './scheduler.ts'
import type { ServiceClass } from './service-class.ts'

/** An endpoint at a vendor of its own, in the Netherlands, with one slot. */
export function endpointOf(id: EndpointId, setting: Partial<Endpoint> = {}): Endpoint {
  return { id, index: 0, model: 'chat', subProcessor: id, country: 'NL', concurrencyMax: 1, ...setting }
}

/** A class that is told from others by its priority alone. */
export function classOf(priority: number, setting: Partial<ServiceClass> = {}): ServiceClass {
  return { name: `plan-${priority}/default`, tier: 'default', priority, floor: 0, weight: 1, ...setting }
}

/** A scheduler with a few endpoints, told one thing at a time. */
export class Desk {
  readonly scheduler: Scheduler
  nowMs = 0
  #version = 0
  #endpoints: readonly Endpoint[] = []
  #requests = 0
  #actions: readonly Action[] = []

  constructor(
    endpoints: readonly Endpoint[],
    routing: RoutingPreset = 'interactive',
    { attemptsMax = 3, queueLengthMax = 100 }: Partial<SchedulerPolicy> = {},
    seed = 1,
  ) {
    this.scheduler = new Scheduler({ attemptsMax, queueLengthMax }, seededRandom(seed))
    this.setEndpoints(endpoints, routing)
  }

  setEndpoints(endpoints: readonly Endpoint[], routing: RoutingPreset = 'interactive'): void {
    this.#endpoints = endpoints.map((endpoint, index) => ({ ...endpoint, index }))
    this.#version++
    this.tell({
      kind: 'endpoints-changed',
      version: this.#version,
      endpoints: this.#endpoints,
      routing: { chat: routing },
    })
  }

  /** The word for these endpoints, or for all. */
  word(...ids: readonly EndpointId[]): Eligibility {
    const allowed = this.#endpoints.filter(({ id }) => ids.length === 0 || ids.includes(id))
    return eligibilityOf(
      allowed.map(({ index }) => index),
      this.#endpoints.length,
      this.#version,
    )
  }

  tell(event: SchedulerEvent): readonly Action[] {
    this.#actions = this.scheduler.handle(event, this.nowMs)
    return this.#actions
  }

  /** Lets a request arrive that may go anywhere; gives its id. */
  arrive(facts: Partial<RequestFacts> = {}): RequestId {
    const id = `req_${++this.#requests}`
    const waitMsMax = facts.waitMsMax ?? 10_000
    this.tell({
      kind: 'request-arrived',
      request: {
        id,
        tenant: 'acme',
        serviceClass: classOf(0),
        model: 'chat',
        arrivedAtMs: this.nowMs,
        waitMsMax,
        deadlineMs: this.nowMs + 60_000 + waitMsMax,
        tokens: { input: 100, cachedInput: 0, output: 100 },
        eligible: this.word(),
        ...facts,
      },
    })
    return id
  }

  answering(attemptId: AttemptId): void {
    this.tell({ kind: 'attempt-answering', attemptId })
  }

  complete(attemptId: AttemptId): void {
    this.tell({ kind: 'attempt-completed', attemptId, tokens: { input: 100, cachedInput: 0, output: 100 } })
  }

  fail(attemptId: AttemptId, failure: Failure | Failure['kind']): void {
    this.tell({
      kind: 'attempt-failed',
      attemptId,
      failure: typeof failure === 'string' ? { kind: failure } : failure,
    })
  }

  /** Time passes, and the scheduler is woken when it wants to be. Gives all that it said. */
  pass(ms: number): readonly Action[] {
    const untilMs = this.nowMs + ms
    const actions: Action[] = []
    for (;;) {
      const dueMs = this.scheduler.nextWakeMs() ?? Number.POSITIVE_INFINITY
      if (dueMs > untilMs) break
      this.nowMs = Math.max(this.nowMs, dueMs)
      actions.push(...this.tell({ kind: 'woken' }))
    }
    this.nowMs = untilMs
    this.#actions = actions
    return actions
  }

  // ---- what it said last ----------------------------------------------------------------------------------------

  get attempts(): readonly Attempt[] {
    return this.#actions.flatMap((action) => (action.kind === 'dispatch' ? action.attempt : []))
  }

  /** The only attempt. */
  get attempt(): Attempt {
    const [attempt, another] = this.attempts
    if (attempt === undefined || another !== undefined)
      throw new Error(`one attempt, not ${JSON.stringify(this.#actions)}`)
    return attempt
  }

  get dispatched(): readonly string[] {
    return this.attempts.map(({ requestId, endpoint }) => `${requestId} to ${endpoint.id}`)
  }

  get rejections(): readonly (Rejection & { readonly id: RequestId })[] {
    return this.#actions.flatMap((action) =>
      action.kind === 'reject' ? { id: action.requestId, ...action.rejection } : [],
    )
  }

  get aborted(): readonly AttemptId[] {
    return this.#actions.flatMap((action) => (action.kind === 'abort' ? action.attemptId : []))
  }

  /** Five failures in a row at the only endpoint that the requests may go to. */
  eject(id: EndpointId): void {
    for (let n = 0; n < 5; n++) {
      this.arrive({ eligible: this.word(id) })
      this.fail(this.attempt.id, 'server-error')
    }
  }

  health(id: EndpointId): string | undefined {
    return this.scheduler.snapshot(this.nowMs).endpoints.find(({ endpointId }) => endpointId === id)?.health
  }
}
