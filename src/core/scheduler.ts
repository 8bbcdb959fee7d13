import { DeadlineHeap } from './deadline-heap.ts'
import type { Endpoint, RoutingPreset } from './endpoint.ts'
import { type Candidate, type EndpointSnapshot, EndpointState } from './endpoint-state.ts'
import type { Action, Attempt, SchedulerEvent } from './events.ts'
import type { Failure } from './failure.ts'
import type { AttemptId, EndpointId, RequestId } from './ids.ts'
import { Model, type Urgency } from './model.ts'
import type { OpenAttempt, OpenRequest } from './open-request.ts'
import type { Random } from './random.ts'
import { rejectionOf } from './rejection.ts'
import { hashText } from './rendezvous.ts'
import { type Eligibility, isEligible, type RequestFacts } from './request.ts'
import { RetryBudget } from './retry-budget.ts'

/** Bounds the scheduler keeps. */
export interface SchedulerPolicy {
  /** Tries for one request, the first included. */
  readonly attemptsMax: number
  /** Requests waiting at once over all models; above it the newest of the lowest priority is refused. */
  readonly queueLengthMax: number
}

export interface SchedulerSnapshot {
  readonly waiting: number
  readonly endpoints: readonly EndpointSnapshot[]
}

/** A waiter may use a place that is ejected or still warming up once it has waited this long in vain. */
const patienceMs = 250
/** And, whatever else, this long before its deadline. */
const lastCallMs = 50
/** A request that may not retry yet waits this long for leave, at the most (promise P07: failures end within 1.5 s). */
const retryLeaveMsMax = 1_500
/** While something waits that time alone may help, the scheduler looks again this often. */
const lookAgainMs = 100
/** A vendor that refuses for rate without saying for how long is left alone for a second. */
const holdMsDefault = 1_000

/**
 * Decides who is served, where and when. Events in, actions out; synchronous; the same events and the same seed give
 * the same actions on every machine.
 *
 * Must hold: every request that arrives ends exactly once; nothing is dispatched outside its eligibility, above an
 * endpoint's limit, or past its deadline; no request waits while a lower priority takes an endpoint it could have
 * had; never more than `attemptsMax` tries, none after the first byte; no try inside a vendor's Retry-After.
 */
export class Scheduler {
  readonly #policy: SchedulerPolicy
  readonly #random: Random
  readonly #retries = new RetryBudget()
  readonly #states = new Map<EndpointId, EndpointState>()
  readonly #models = new Map<string, Model>()
  readonly #requests = new Map<RequestId, OpenRequest>()
  readonly #attempts = new Map<AttemptId, OpenAttempt>()
  readonly #deadlines = new DeadlineHeap<OpenRequest>()
  #byIndex: EndpointState[] = []
  #actions: Action[] = []
  #nextAttemptId = 1
  #nextSequence = 1
  #waiting = 0
  #nowMs = Number.NEGATIVE_INFINITY

  constructor(policy: SchedulerPolicy, random: Random) {
    this.#policy = policy
    this.#random = random
  }

  /** Takes one event at a time that never runs back. Throws on an event about something it does not know: a bug. */
  handle(event: SchedulerEvent, nowMs: number): readonly Action[] {
    this.#nowMs = Math.max(this.#nowMs, nowMs)
    this.#actions = []
    switch (event.kind) {
      case 'request-arrived':
        this.#arrived(event.request)
        break
      case 'request-cancelled':
        this.#cancelled(event.requestId)
        break
      case 'attempt-answering':
        this.#answering(this.#attempt(event.attemptId, event.kind))
        break
      case 'attempt-completed':
        this.#completed(this.#take(event.attemptId, event.kind), event.tokens.output)
        break
      case 'attempt-failed':
        this.#failed(this.#take(event.attemptId, event.kind), event.failure)
        break
      case 'attempt-refused':
        this.#refused(this.#take(event.attemptId, event.kind))
        break
      case 'endpoints-changed':
        this.#endpointsChanged(event.endpoints, event.routing)
        break
      case 'eligibility-changed':
        this.#eligibilityChanged(event.requestId, event.eligible)
        break
      case 'endpoint-probed':
        this.#probed(event.endpointId, event.reachable)
        break
      case 'woken':
        this.#serveWaiting()
        break
    }
    this.#expire()
    return this.#actions
  }

  /** When `woken` is due, or undefined while nothing waits for time to pass. */
  nextWakeMs(): number | undefined {
    if (this.#waiting === 0) return undefined
    let dueMs = Math.min(this.#nowMs + lookAgainMs, this.#deadlines.firstDueMs)
    for (const state of this.#byIndex) {
      if (state.heldUntilMs > this.#nowMs) dueMs = Math.min(dueMs, state.heldUntilMs)
      if (state.ejectedUntilMs > this.#nowMs) dueMs = Math.min(dueMs, state.ejectedUntilMs)
    }
    return dueMs
  }

  snapshot(nowMs: number): SchedulerSnapshot {
    return { waiting: this.#waiting, endpoints: this.#byIndex.map((state) => state.snapshot(nowMs)) }
  }

  /** Ranks the eligible endpoints of a model as a request arriving now would see them. Changes nothing. */
  explain(model: string, eligible: Eligibility, affinity: string | undefined, nowMs: number): readonly Candidate[] {
    return this.#models.get(model)?.explain(eligible, affinity, this.#byIndex, nowMs) ?? []
  }

  /** Expected wait for a slot, ms; 0 if one is free. */
  expectedWaitMs(model: string, eligible: Eligibility, nowMs: number): number {
    return this.#models.get(model)?.expectedWaitMs(eligible, this.#byIndex, Number.NEGATIVE_INFINITY, nowMs) ?? 0
  }

  // ---- requests -------------------------------------------------------------------------------------------------

  #arrived(facts: RequestFacts): void {
    if (this.#requests.has(facts.id)) throw new Error(`request ${facts.id} arrived twice`)
    const request: OpenRequest = {
      facts,
      model: this.#model(facts.model),
      sequence: this.#nextSequence++,
      priority: facts.priority,
      affinityHash: facts.affinity === undefined ? undefined : hashText(facts.affinity),
      eligible: facts.eligible,
      deadlineMs: facts.deadlineMs,
      waiting: false,
      waitingFromMs: this.#nowMs,
      ended: false,
      attempts: 0,
      withdrawn: 0,
      failedAt: [],
      lastFailure: undefined,
      timeouts: 0,
      running: undefined,
    }
    this.#requests.set(facts.id, request)
    this.#place(request)
  }

  #cancelled(requestId: RequestId): void {
    const request = this.#requests.get(requestId)
    if (request === undefined) return
    const running = request.running
    this.#end(request)
    if (running === undefined) return
    this.#attempts.delete(running.attempt.id)
    this.#release(running)
    this.#actions.push({ kind: 'abort', attemptId: running.attempt.id })
    this.#roomAt(running.state)
  }

  /** Dispatches the request if that is possible now; else it waits, or is refused where waiting cannot help. */
  #place(request: OpenRequest): void {
    const { model, eligible } = request
    if (eligible.indices.length === 0) return this.#reject(request)
    if (!this.#fits(eligible) || (isRetry(request) && !this.#retries.canRetry(this.#nowMs))) return this.#wait(request)
    // Waiters of the same or a higher priority go first to what they could use.
    const state = model.choose(request, this.#byIndex, this.#nowMs)
    if (state !== undefined && !this.#isOwedToWaiter(state, request)) return this.#dispatch(request, state)
    if (!model.mayRecover(request, this.#byIndex)) return this.#reject(request)
    this.#wait(request)
  }

  /** Somebody who waits could take this place and comes before the request. */
  #isOwedToWaiter(state: EndpointState, request: OpenRequest): boolean {
    const { queue } = request.model
    if (queue.length === 0) return false
    const first = queue.first(
      (eligible) => this.#fits(eligible) && isEligible(eligible, state.endpoint.index),
      (waiter) => this.#mayTake(waiter, state, false),
    )
    return (
      first !== undefined &&
      (first.priority > request.priority || (first.priority === request.priority && first.sequence < request.sequence))
    )
  }

  #wait(request: OpenRequest): void {
    if (this.#waiting >= this.#policy.queueLengthMax) {
      const last = this.#lastWaiter()
      if (last === undefined || last.priority >= request.priority) return this.#reject(request, 'overloaded')
      this.#reject(last, 'overloaded')
    }
    if (isRetry(request) && !this.#retries.canRetry(this.#nowMs)) {
      request.deadlineMs = Math.min(request.deadlineMs, this.#nowMs + retryLeaveMsMax)
    }
    request.waiting = true
    request.waitingFromMs = this.#nowMs
    request.model.queue.add(request)
    this.#waiting++
    this.#deadlines.add(request, Math.max(this.#nowMs, request.deadlineMs - lastCallMs))
  }

  #lastWaiter(): OpenRequest | undefined {
    let worst: OpenRequest | undefined
    for (const { queue } of this.#models.values()) {
      const last = queue.last()
      if (last === undefined) continue
      if (
        worst === undefined ||
        last.priority < worst.priority ||
        (last.priority === worst.priority && last.sequence > worst.sequence)
      )
        worst = last
    }
    return worst
  }

  #stopWaiting(request: OpenRequest): void {
    if (!request.waiting) return
    request.waiting = false
    request.model.queue.remove(request)
    this.#waiting--
  }

  #end(request: OpenRequest): void {
    this.#stopWaiting(request)
    request.ended = true
    request.running = undefined
    this.#requests.delete(request.facts.id)
  }

  #reject(request: OpenRequest, reason?: 'overloaded' | 'deadline'): void {
    const waitMs = request.model.expectedWaitMs(request.eligible, this.#byIndex, request.priority, this.#nowMs)
    const rejection = rejectionOf(request, reason, waitMs, this.#byIndex, this.#nowMs)
    this.#end(request)
    this.#actions.push({ kind: 'reject', requestId: request.facts.id, rejection })
  }

  // ---- attempts -------------------------------------------------------------------------------------------------

  #dispatch(request: OpenRequest, state: EndpointState): void {
    this.#stopWaiting(request)
    if (request.attempts === 0) this.#retries.first(this.#nowMs)
    else if (isRetry(request)) this.#retries.retry(this.#nowMs)
    request.attempts++
    const attempt: Attempt = {
      id: this.#nextAttemptId++,
      requestId: request.facts.id,
      number: request.attempts,
      endpoint: state.endpoint,
    }
    const running: OpenAttempt = {
      attempt,
      state,
      request,
      startedMs: this.#nowMs,
      answering: false,
      probe: !state.isOpen,
    }
    request.running = running
    this.#attempts.set(attempt.id, running)
    state.started(this.#nowMs, running.probe)
    this.#actions.push({ kind: 'dispatch', attempt })
  }

  #attempt(id: AttemptId, event: string): OpenAttempt {
    const running = this.#attempts.get(id)
    if (running === undefined) throw new Error(`${event} for attempt ${id}, which is not running`)
    return running
  }

  #take(id: AttemptId, event: string): OpenAttempt {
    const running = this.#attempt(id, event)
    this.#attempts.delete(id)
    return running
  }

  #release(running: OpenAttempt): void {
    running.state.ended(running.probe)
    if (!running.answering) running.state.endedUnanswered(running.startedMs)
    running.request.running = undefined
  }

  #answering(running: OpenAttempt): void {
    if (running.answering) throw new Error(`attempt-answering twice for attempt ${running.attempt.id}`)
    running.answering = true
    if (running.state.answered(running.startedMs, this.#nowMs)) this.#healthChanged(running.state)
  }

  #completed(running: OpenAttempt, outputTokens: number): void {
    const { state, request, startedMs } = running
    const returned = running.answering
      ? state.succeeded(this.#nowMs)
      : state.answeredWhole(startedMs, outputTokens, this.#nowMs)
    if (returned) this.#healthChanged(state)
    this.#release(running)
    request.model.served(this.#nowMs - startedMs)
    this.#end(request)
    this.#roomAt(state)
  }

  #refused(running: OpenAttempt): void {
    if (running.state.succeeded(this.#nowMs)) this.#healthChanged(running.state)
    this.#release(running)
    this.#end(running.request)
    this.#roomAt(running.state)
  }

  #failed(running: OpenAttempt, failure: Failure): void {
    const { request, state } = running
    this.#release(running)
    this.#learnFailure(state, failure)
    if (running.answering) {
      this.#end(request)
    } else {
      if (failure.kind === 'withdrawn') request.withdrawn++
      else request.lastFailure = failure
      if (failure.kind === 'timed-out') request.timeouts++
      if (!this.#mayAskAgain(request, failure)) request.failedAt.push(state)
      // A timeout has cost the caller a minute already: one more try, not two.
      if (request.attempts - request.withdrawn >= this.#policy.attemptsMax || request.timeouts > 1)
        this.#reject(request)
      else this.#place(request)
    }
    this.#roomAt(state)
  }

  /** May the same place be asked again for this request? */
  #mayAskAgain(request: OpenRequest, failure: Failure): boolean {
    // A vendor that is only busy: once its Retry-After is over. One that was not asked: at once.
    if (failure.kind === 'rate-limited' || failure.kind === 'withdrawn') return true
    if (failure.stale === true) return true
    // A connection that broke, where there is no other place: its server may have been restarted.
    return failure.kind === 'reset' && request.attempts === 1 && request.eligible.indices.length === 1
  }

  #learnFailure(state: EndpointState, failure: Failure): void {
    if (failure.stale === true) return
    switch (failure.kind) {
      case 'withdrawn':
      case 'missing-model':
        return
      case 'rate-limited':
        state.held(failure.retryAfterMs ?? holdMsDefault, this.#nowMs)
        return
      case 'overloaded':
        if (failure.retryAfterMs !== undefined) state.held(failure.retryAfterMs, this.#nowMs)
        break
      default:
        break
    }
    if (state.failed(this.#nowMs)) this.#healthChanged(state)
  }

  #healthChanged(state: EndpointState): void {
    this.#models.get(state.endpoint.model)?.healthChanged()
    this.#actions.push({ kind: 'endpoint-state', endpointId: state.endpoint.id, state: state.health(this.#nowMs) })
  }

  // ---- waiting --------------------------------------------------------------------------------------------------

  /** May this waiter have this place now? `urgent`: its deadline is at hand, so any place with a free slot will do. */
  #mayTake(request: OpenRequest, state: EndpointState, urgent: boolean): boolean {
    if (isRetry(request) && !this.#retries.canRetry(this.#nowMs)) return false
    const urgency: Urgency = urgent
      ? 'urgent'
      : this.#nowMs - request.waitingFromMs < patienceMs
        ? 'patient'
        : 'impatient'
    return request.model.canTake(request, state, urgency, this.#byIndex, this.#nowMs)
  }

  /** A slot may be free at this endpoint: the first waiters who can use it get it. */
  #roomAt(state: EndpointState): void {
    const model = this.#models.get(state.endpoint.model)
    if (model === undefined) return
    while (
      model.queue.length > 0 &&
      state.inFlight < state.endpoint.concurrencyMax &&
      state.heldUntilMs <= this.#nowMs
    ) {
      const waiter = model.queue.first(
        (eligible) => this.#fits(eligible) && isEligible(eligible, state.endpoint.index),
        (candidate) => this.#mayTake(candidate, state, false),
      )
      if (waiter === undefined) return
      this.#dispatch(waiter, state)
    }
  }

  #serveWaiting(): void {
    if (this.#waiting === 0) return
    for (const state of this.#byIndex) this.#roomAt(state)
  }

  /** Refuses those whose time is over; just before that, any eligible place with a free slot is good enough. */
  #expire(): void {
    while (this.#deadlines.firstDueMs <= this.#nowMs) {
      const request = this.#deadlines.first as OpenRequest
      this.#deadlines.removeFirst()
      if (request.ended || !request.waiting || this.#nowMs < request.deadlineMs - lastCallMs) continue
      const state = this.#nowMs <= request.deadlineMs ? this.#anyPlace(request) : undefined
      if (state !== undefined) this.#dispatch(request, state)
      else if (this.#nowMs >= request.deadlineMs) this.#reject(request, 'deadline')
      else this.#deadlines.add(request, request.deadlineMs)
    }
  }

  #anyPlace(request: OpenRequest): EndpointState | undefined {
    if (!this.#fits(request.eligible)) return undefined
    for (const index of request.eligible.indices) {
      const state = this.#byIndex[index] as EndpointState
      if (this.#mayTake(request, state, true)) return state
    }
    return undefined
  }

  // ---- the world ------------------------------------------------------------------------------------------------

  /** A word is good for the generation of endpoints it was made for; of another one, its indices mean other places. */
  #fits(eligible: Eligibility): boolean {
    return eligible.words.length === (this.#byIndex.length + 31) >>> 5 && !this.#stale.has(eligible)
  }

  /** Words of earlier generations that requests still hold. */
  #stale = new Set<Eligibility>()

  #endpointsChanged(endpoints: readonly Endpoint[], routing: Readonly<Record<string, RoutingPreset>>): void {
    this.#stale = new Set()
    for (const request of this.#requests.values()) this.#stale.add(request.eligible)
    const next = endpoints.map((endpoint, index) => {
      if (endpoint.index !== index)
        throw new Error(`endpoint ${endpoint.id} has index ${endpoint.index} at place ${index}`)
      const state = this.#states.get(endpoint.id)
      // Another vendor or country under the same name is another place: it starts with a clean record.
      if (
        state === undefined ||
        state.endpoint.country !== endpoint.country ||
        state.endpoint.subProcessor !== endpoint.subProcessor
      ) {
        return new EndpointState(endpoint)
      }
      state.endpoint = endpoint
      return state
    })
    this.#states.clear()
    for (const state of next) this.#states.set(state.endpoint.id, state)
    this.#byIndex = next
    for (const [name, preset] of Object.entries(routing)) {
      const model = this.#model(name)
      model.setEndpoints(
        next.filter(({ endpoint }) => endpoint.model === name),
        preset,
      )
    }
    for (const [name, model] of this.#models) if (!Object.hasOwn(routing, name)) model.setEndpoints([], 'interactive')
  }

  #eligibilityChanged(requestId: RequestId, eligible: Eligibility): void {
    const request = this.#requests.get(requestId)
    if (request === undefined) return
    const wasWaiting = request.waiting
    // Out of its group under the old word, into one under the new; its place in the order of arrival stays.
    const { waitingFromMs } = request
    this.#stopWaiting(request)
    request.eligible = eligible
    if (!wasWaiting) return
    this.#place(request)
    if (request.waiting) request.waitingFromMs = waitingFromMs
  }

  #probed(endpointId: EndpointId, reachable: boolean): void {
    const state = this.#states.get(endpointId)
    if (state === undefined || !state.probed(reachable, this.#nowMs)) return
    this.#healthChanged(state)
    if (reachable) this.#roomAt(state)
  }

  #model(name: string): Model {
    let model = this.#models.get(name)
    if (model === undefined) {
      model = new Model(this.#random)
      this.#models.set(name, model)
    }
    return model
  }
}

/** Has it been tried? */
function isRetry({ attempts, withdrawn }: OpenRequest): boolean {
  return attempts > withdrawn
}
