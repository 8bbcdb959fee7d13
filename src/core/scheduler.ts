import { choose, leastBad } from './choose.ts'
import { hasTokens } from './comparison.ts'
import { comesTooLate, hasFreePlace, waitsInVain } from './deadline-drop.ts'
import { DeadlineHeap } from './deadline-heap.ts'
import type { EndpointSnapshot, EndpointState } from './endpoint-state.ts'
import type { Action, Attempt, SchedulerEvent } from './events.ts'
import { expectedWaitMs } from './expected-wait.ts'
import { type Candidate, explainChoice } from './explain.ts'
import type { Failure } from './failure.ts'
import { FlatMap } from './flat-map.ts'
import { Fleet } from './fleet.ts'
import type { AttemptId, EndpointId, RequestId, TenantId } from './ids.ts'
import { settleFailed, teach } from './lesson.ts'
import type { Model } from './model.ts'
import { corneredWaiters, mayTakeAnyway, nextWaiter, retryingWaiters } from './next-waiter.ts'
import { type OpenRequest, openRequest, type RunningRequest } from './open-request.ts'
import type { QuotaWord } from './quota.ts'
import type { Random } from './random.ts'
import { type EndOfWait, rejectionOf } from './rejection.ts'
import type { Eligibility, PromptPrefix, RequestFacts, TokenCount } from './request.ts'
import type { ServiceClass } from './service-class.ts'

/** Bounds the scheduler keeps. */
export interface SchedulerPolicy {
  /** Tries for one request, the first included. */
  readonly attemptsMax: number
  /** Requests waiting at once over all models; above it the newest of the lowest priority is refused. */
  readonly queueLengthMax: number
  /** Of a model's tokens, for every class that waits, whatever its priority: 0 to 1; a twentieth where it is absent. */
  readonly leastShare?: number
}

export interface SchedulerSnapshot {
  readonly waiting: number
  readonly endpoints: readonly EndpointSnapshot[]
}

/** This long before its wait ends a request takes any place with a free slot. */
const lastCallMs = 50
/** With no open place left, a request that has failed is served within this time of its failure, or never (P07). */
const hopelessMsMax = 1_000
/** While somebody waits, what changes by time alone is looked at this often. */
const lookAgainMs = 100
/** Where so many retries find no place, those behind them are not looked at: one call must stay short. */
const inVainMax = 8
/** So many waits end in one call at the most: one call must stay short also after a long pause. */
const expiredMax = 50

/** What most events lead to. Never added to. */
const nothing: Action[] = []

/**
 * Decides who is served, where and when. Events in, actions out; synchronous; the same events and the same seed give
 * the same actions on every machine.
 *
 * Must hold: every request that arrives ends exactly once; nothing is dispatched outside its eligibility, above an
 * endpoint's limit, or past its deadline; no request waits while another that comes after it (`FairShares`) takes an
 * endpoint it could have had, unless it would be served too late; never more than `attemptsMax` tries, none after the
 * first byte; no try inside a vendor's Retry-After.
 *
 * Promises pull against each other: no request fails while an eligible endpoint has a free slot; tries, and retries of
 * a model, have their bounds. The bounds win: they keep a bad hour from becoming a bad day. So they are spent well: a
 * retry goes to another vendor first; who has failed once, or could not be tried again, is not the one to try out an
 * ejected endpoint; who has no leave to retry, but an open endpoint left, waits for leave as long as others for room.
 * Only one with nothing but bad endpoints left gives up soon.
 */
export class Scheduler {
  readonly #policy: SchedulerPolicy
  readonly #fleet: Fleet
  readonly #requests = new FlatMap<RequestId, OpenRequest>()
  /** By their running try. */
  readonly #running = new FlatMap<AttemptId, RunningRequest>()
  /** Waits by their end. */
  readonly #waits = new DeadlineHeap<OpenRequest>()
  /** Endpoints by when they may be asked again. */
  readonly #returns = new DeadlineHeap<EndpointState>()
  #actions = nothing
  #nextAttemptId = 1
  #nextSequence = 1
  #waiting = 0
  #lookAgainDueMs = Number.NEGATIVE_INFINITY
  #nowMs = Number.NEGATIVE_INFINITY

  constructor(policy: SchedulerPolicy, random: Random) {
    this.#policy = policy
    this.#fleet = new Fleet(random, policy.leastShare)
  }

  /** Takes one event at a time that never runs back. Throws on an event about something it does not know: a bug. */
  handle(event: SchedulerEvent, nowMs: number): readonly Action[] {
    this.#nowMs = Math.max(this.#nowMs, nowMs)
    this.#actions = nothing
    switch (event.kind) {
      case 'request-arrived':
        this.#arrived(event.request)
        break
      case 'request-cancelled':
        this.#cancelled(event.requestId)
        break
      case 'attempt-answering':
        this.#answering(this.#attempt(event.attemptId, event.kind), event.quota)
        break
      case 'attempt-completed':
        this.#completed(this.#take(event.attemptId, event.kind), event.tokens, event.quota)
        break
      case 'attempt-failed':
        this.#failed(this.#take(event.attemptId, event.kind), event.failure)
        break
      case 'attempt-refused':
        this.#refused(this.#take(event.attemptId, event.kind))
        break
      case 'endpoints-changed':
        this.#fleet.change(event.version, event.endpoints, event.routing, this.#nowMs)
        break
      case 'eligibility-changed':
        this.#eligibilityChanged(event.requestId, event.eligible)
        break
      case 'endpoint-probed':
        this.#probed(event.endpointId, event.reachable)
        break
      case 'woken':
        this.#lookAgain()
        break
    }
    while (this.#returns.firstDueMs <= this.#nowMs) {
      const state = this.#returns.first as EndpointState
      this.#returns.removeFirst()
      this.#note(state)
      this.#serve(state)
    }
    this.#endWaits()
    return this.#actions
  }

  /** When `woken` is due, or undefined while nothing waits for time to pass. */
  nextWakeMs(): number | undefined {
    if (this.#waiting === 0) return undefined
    return Math.min(this.#lookAgainDueMs, this.#waits.firstDueMs, this.#returns.firstDueMs)
  }

  snapshot(nowMs: number): SchedulerSnapshot {
    return { waiting: this.#waiting, endpoints: this.#fleet.states.map((state) => state.snapshot(nowMs)) }
  }

  /** Ranks the eligible endpoints of a model as a request arriving now would see them. Changes nothing. */
  explain(model: string, eligible: Eligibility, affinity: string | undefined, nowMs: number): readonly Candidate[] {
    const known = this.#fleet.knownModel(model)
    return known === undefined ? [] : explainChoice(known, eligible, affinity, nowMs)
  }

  /** Expected wait of a tenant's next request for a slot, ms; 0 if one is free. */
  expectedWaitMs(
    modelName: string,
    eligible: Eligibility,
    serviceClass: ServiceClass,
    tenant: TenantId,
    nowMs: number,
  ): number {
    const model = this.#fleet.knownModel(modelName)
    if (model === undefined) return 0
    const account = model.shares.knownAccount(serviceClass)
    const flow = account?.flows.get(tenant)
    return expectedWaitMs(model, { eligible, priority: serviceClass.priority, account, flow }, nowMs)
  }

  /** Demand for a model's eligible places by what they can take; see `Model.pressure`. 0 for a model it does not know. */
  pressure(model: string, eligible: Eligibility, priority: number, nowMs: number): number {
    return this.#fleet.knownModel(model)?.pressure(eligible, priority, nowMs) ?? 0
  }

  #act(action: Action): void {
    if (this.#actions === nothing) this.#actions = [action]
    else this.#actions.push(action)
  }

  // ---- requests -------------------------------------------------------------------------------------------------

  #arrived(facts: RequestFacts): void {
    if (this.#requests.has(facts.id)) throw new Error(`request ${facts.id} arrived twice`)
    const request = openRequest(facts, this.#fleet.model(facts.model), this.#nextSequence++, this.#nowMs)
    this.#requests.set(facts.id, request)
    this.#place(request)
  }

  #cancelled(requestId: RequestId): void {
    const request = this.#requests.get(requestId)
    if (request === undefined) return
    const { attemptId } = request
    this.#end(request)
    const running = this.#running.get(attemptId)
    if (running === undefined) return
    this.#running.delete(attemptId)
    if (!running.answering) running.state.abandoned(running.startedMs, this.#nowMs)
    this.#release(running)
    this.#act({ kind: 'abort', attemptId })
    this.#serve(running.state)
  }

  /** `used`: what it took, where that is known; nothing where no try was answered. */
  #end(request: OpenRequest, used?: TokenCount): void {
    this.#stopWaiting(request)
    const { fairCharge, flow, facts, model } = request
    if (fairCharge !== undefined) model.shares.settled(flow, fairCharge, facts.tokens, used)
    this.#requests.delete(request.facts.id)
  }

  #reject(request: OpenRequest, end?: EndOfWait): void {
    const rejection = rejectionOf(request, end, this.#nowMs)
    this.#end(request, noTokens)
    this.#act({ kind: 'reject', requestId: request.facts.id, rejection })
  }

  /** Dispatches the request if that is possible now; else it waits, or is refused where waiting cannot help. */
  #place(request: OpenRequest): void {
    const { model, eligible, facts } = request
    if (eligible.indices.length === 0) return this.#reject(request)
    if (this.#nowMs > facts.deadlineMs) return this.#reject(request, 'deadline')
    request.waitUntilMs = Math.min(facts.deadlineMs, this.#nowMs + facts.waitMsMax - request.waitedMs)
    if (!this.#fleet.fits(eligible)) return this.#wait(request)
    this.#serveRetries(request)
    if (this.#tryPlace(request)) return
    if (model.mayRecover(request)) this.#wait(request)
    else this.#reject(request)
  }

  /** Gives false where there is no place for it, or no leave, at this moment. */
  #tryPlace(request: OpenRequest): boolean {
    const { model } = request
    while (model.hasLeave(request, this.#nowMs)) {
      const state = choose(model, request, this.#nowMs)
      if (state === undefined) return false
      // Those who come before it and could use the place go first.
      if (this.#serve(state, request) || !hasTokens(model, request, state, this.#nowMs)) continue
      this.#dispatch(request, state)
      return true
    }
    return false
  }

  // ---- waiting --------------------------------------------------------------------------------------------------

  #wait(request: OpenRequest): void {
    // One that was tried has been paid for, and is near its end.
    if (request.tries === 0 && waitsInVain(request, this.#nowMs)) return this.#reject(request, 'in-vain')
    if (this.#waiting >= this.#policy.queueLengthMax) {
      if (this.#takeAnything(request)) return
      const last = this.#lastWaiter()
      if (last === undefined || !isWorthMore(request, last)) return this.#reject(request, 'no-room')
      if (!this.#takeAnything(last)) this.#reject(last, 'no-room')
    }
    this.#enqueue(request)
    this.#waits.add(request, this.#waitEndMs(request) - lastCallMs)
  }

  #enqueue(request: OpenRequest): void {
    request.waiting = true
    request.waitingFromMs = this.#nowMs
    request.model.queue.add(request, this.#nowMs)
    if (this.#waiting === 0) this.#lookAgainDueMs = this.#nowMs + lookAgainMs
    this.#waiting++
  }

  #stopWaiting(request: OpenRequest): void {
    if (!request.waiting) return
    request.waiting = false
    request.waitedMs += this.#nowMs - request.waitingFromMs
    request.model.queue.remove(request)
    this.#waiting--
  }

  #lastWaiter(): OpenRequest | undefined {
    let worst: OpenRequest | undefined
    for (const { queue } of this.#fleet.models) {
      const last = queue.last()
      if (last !== undefined && (worst === undefined || isWorthMore(worst, last))) worst = last
    }
    return worst
  }

  /** One that has failed, and has nothing but bad places left, gives up soon. */
  #waitEndMs(request: OpenRequest): number {
    const { model, eligible, waitUntilMs, firstFailureMs } = request
    const isHopeless = request.tries > 0 && this.#fleet.fits(eligible) && !model.hasOpen(request)
    return isHopeless ? Math.min(waitUntilMs, firstFailureMs + hopelessMsMax) : waitUntilMs
  }

  /**
   * Gives a place's free slots to those who wait for it, in order; where `ahead` is given, to those who come before it
   * only. `hurried`: as if they had waited in vain for long. Gives true where somebody got one.
   */
  #serve(state: EndpointState, ahead?: OpenRequest, hurried = false): boolean {
    if (this.#waiting === 0) return false
    const model = this.#fleet.model(state.endpoint.model)
    const served = this.#offer(model, state, ahead, hurried)
    return (!model.isGood(state) && this.#serveCornered(model, ahead)) || served
  }

  #offer(model: Model, state: EndpointState, ahead?: OpenRequest, hurried = false): boolean {
    let served = false
    let tooLate = noRequests
    for (;;) {
      const waiter = nextWaiter(model, state, hurried, this.#nowMs)
      if (waiter === undefined || (ahead !== undefined && !model.shares.comesBefore(waiter, ahead))) break
      if (waiter.tries === 0 && tooLate.length < expiredMax && comesTooLate(waiter, this.#nowMs)) {
        this.#stopWaiting(waiter)
        tooLate = [...tooLate, waiter]
        continue
      }
      served = true
      if (!this.#serveRetries(waiter)) this.#dispatch(waiter, state)
    }
    if (tooLate.length === 0) return served
    // Who would be served too late takes nobody's place, but one that nobody else wants.
    const [first, ...others] = tooLate as [OpenRequest, ...OpenRequest[]]
    if (!served) this.#dispatch(first, state)
    const waits = this.#giveUp(served ? tooLate : others)
    return (waits && this.#offer(model, state, ahead, hurried)) || true
  }

  /** Refuses those who would be served too late, unless there is room that nobody wants. Gives true where one waits on. */
  #giveUp(tooLate: readonly OpenRequest[]): boolean {
    let waits = false
    for (const request of tooLate) {
      if (hasFreePlace(request, this.#nowMs)) {
        this.#enqueue(request)
        waits = true
      } else this.#reject(request, 'deadline')
    }
    return waits
  }

  /** A bad place for those who have no good one left. */
  #serveCornered(model: Model, ahead?: OpenRequest): boolean {
    if (model.queue.length === 0 || model.isAllGood) return false
    let served = false
    for (const waiter of corneredWaiters(model, this.#nowMs)) {
      if (ahead !== undefined && !model.shares.comesBefore(waiter, ahead)) break
      this.#serveRetries(waiter)
      const state = model.hasLeave(waiter, this.#nowMs) ? leastBad(model, waiter, this.#nowMs) : undefined
      if (state === undefined) continue
      this.#dispatch(waiter, state)
      served = true
    }
    return served
  }

  /** Leave to retry goes by priority and arrival too: to those who come before this one. Gives true where one got it. */
  #serveRetries(ahead: OpenRequest): boolean {
    const { model } = ahead
    if (ahead.tries === 0 || model.queue.retryingLength === 0) return false
    let served = false
    let inVain = 0
    for (const waiter of retryingWaiters(model, this.#nowMs)) {
      if (inVain === inVainMax || !model.hasLeave(waiter, this.#nowMs) || !model.shares.comesBefore(waiter, ahead))
        break
      if (this.#tryPlace(waiter)) served = true
      else inVain++
    }
    return served
  }

  #serveAll(model: Model): void {
    if (model.queue.length === 0) return
    for (const state of model.withRoom()) this.#offer(model, state)
    this.#serveCornered(model)
  }

  #lookAgain(): void {
    if (this.#nowMs < this.#lookAgainDueMs) return
    this.#lookAgainDueMs = this.#nowMs + lookAgainMs
    for (const model of this.#fleet.models) {
      model.noteAll(this.#nowMs)
      this.#serveAll(model)
    }
  }

  /** Ends waits whose time is over; just before that, any eligible place with a free slot is good enough. */
  #endWaits(): void {
    for (let ended = 0; this.#waits.firstDueMs <= this.#nowMs && ended < expiredMax; ended++) {
      const request = this.#waits.first as OpenRequest
      this.#waits.removeFirst()
      if (!request.waiting) continue
      const endMs = this.#waitEndMs(request)
      if (this.#nowMs < endMs - lastCallMs) this.#waits.add(request, endMs - lastCallMs)
      else if (this.#takeAnything(request)) continue
      else if (this.#nowMs < endMs) this.#waits.add(request, endMs)
      else this.#reject(request, 'deadline')
    }
  }

  /** Its wait is at an end: the first place that will do, of good ones first. Gives false where there is none. */
  #takeAnything(request: OpenRequest): boolean {
    const { model, eligible } = request
    if (!this.#fleet.fits(eligible) || this.#nowMs > request.waitUntilMs) return false
    this.#serveRetries(request)
    const mayTake = (state: EndpointState) => mayTakeAnyway(model, request, state, this.#nowMs)
    for (const state of model.withRoomFor(eligible)) {
      // Who comes before it and could use the place goes first; who that is may change with each who is served.
      while (mayTake(state) && this.#serve(state, request, model.isGood(state)));
      if (!mayTake(state)) continue
      this.#dispatch(request, state)
      return true
    }
    return false
  }

  // ---- attempts -------------------------------------------------------------------------------------------------

  #dispatch(request: OpenRequest, state: EndpointState): void {
    const { shares } = request.model
    const charge = shares.dispatched(request.flow, request.facts.tokens, request.waiting, this.#nowMs)
    this.#stopWaiting(request)
    if (request.fairCharge === undefined) {
      request.fairCharge = charge
      shares.charge(request.flow, charge)
    }
    request.model.retries.made(request.tries === 0 ? 'first' : 'retry', this.#nowMs)
    request.attempts++
    request.tries++
    const attempt: Attempt = {
      id: this.#nextAttemptId++,
      requestId: request.facts.id,
      number: request.attempts,
      endpoint: state.endpoint,
    }
    request.attemptId = attempt.id
    request.state = state
    request.startedMs = this.#nowMs
    request.answering = false
    request.trial = !state.isOpen
    state.turn = ++request.model.dispatched
    request.charged = state.quota?.charge(request.tokens, this.#nowMs)
    if (request.facts.prefix !== undefined) this.#noteRead(request, request.facts.prefix, state)
    this.#running.set(attempt.id, request as RunningRequest)
    state.started(request.trial, this.#nowMs, request.tokens)
    // One that is full by this is not looked at again before it has room.
    if (request.model.policy.kind === 'spill-over') state.noteSpilling(state.saturation(this.#nowMs))
    this.#note(state)
    this.#act({ kind: 'dispatch', attempt })
  }

  /** What this place reads now it will have in its cache. */
  #noteRead(request: OpenRequest, prefix: PromptPrefix, state: EndpointState): void {
    const { prefixes, reading } = request.model
    request.tokensToRead = Math.max(0, request.facts.tokens.input - prefixes.tokensAt(prefix, state))
    request.inFlightBefore = state.inFlight
    prefixes.add(prefix, state)
    state.reading.began(request.tokensToRead, this.#nowMs)
    reading.began(request.tokensToRead, this.#nowMs)
  }

  #attempt(id: AttemptId, event: string): RunningRequest {
    const running = this.#running.get(id)
    if (running === undefined) throw new Error(`${event} for attempt ${id}, which is not running`)
    return running
  }

  #take(id: AttemptId, event: string): RunningRequest {
    const running = this.#attempt(id, event)
    this.#running.delete(id)
    return running
  }

  #release(running: RunningRequest): void {
    running.state.ended(running.trial, running.tokens)
    if (!running.answering) running.state.endedUnanswered(running.startedMs)
    running.model.shares.released(running.flow)
    running.attemptId = 0
    this.#note(running.state)
  }

  #answering(running: RunningRequest, quota: QuotaWord | undefined): void {
    if (running.answering) throw new Error(`attempt-answering twice for attempt ${running.attemptId}`)
    running.answering = true
    const { state, model, startedMs, charged, facts, tokensToRead, inFlightBefore } = running
    model.times.answered(this.#nowMs - startedMs)
    if (quota !== undefined) state.quotaSaid(quota, charged, this.#nowMs)
    state.firstTokenCame(running.facts.tokens.input, startedMs, this.#nowMs)
    if (facts.prefix !== undefined) {
      state.reading.learn(this.#nowMs - startedMs, tokensToRead, inFlightBefore)
      model.reading.learn(this.#nowMs - startedMs, tokensToRead, inFlightBefore)
    }
    if (!state.answered(startedMs, this.#nowMs)) return
    this.#healthChanged(state)
    this.#serveAll(model)
  }

  #completed(running: RunningRequest, tokens: TokenCount, quota: QuotaWord | undefined): void {
    const { state, model, startedMs, answering, charged } = running
    this.#release(running)
    if (quota !== undefined) state.quotaSaid(quota, charged, this.#nowMs)
    if (charged !== undefined) state.quota?.settle(running.tokens, tokens.input + tokens.output, this.#nowMs)
    if (answering) state.completed()
    const returns = !answering && state.answeredWhole(startedMs, tokens.output, this.#nowMs)
    model.times.served(this.#nowMs - startedMs)
    this.#answered(running, returns, tokens)
  }

  #refused(running: RunningRequest): void {
    this.#release(running)
    this.#answered(running, running.state.refused(running.startedMs, this.#nowMs), noTokens)
  }

  #answered(request: RunningRequest, returns: boolean, used: TokenCount): void {
    const { state, model } = request
    if (returns) this.#healthChanged(state)
    this.#end(request, used)
    if (returns) this.#serveAll(model)
    else this.#serve(state)
  }

  #failed(request: RunningRequest, failure: Failure): void {
    const { state, model, startedMs, answering } = request
    this.#release(request)
    const { heldUntilMs } = state
    settleFailed(state, failure, request.tokens, request.charged, this.#nowMs)
    const isEjected = teach(state, failure, startedMs, answering, this.#nowMs)
    const isHeld = state.heldUntilMs > heldUntilMs
    if (isEjected) this.#healthChanged(state)
    if (isHeld) this.#returns.add(state, state.heldUntilMs)
    this.#note(state)
    if (answering) this.#end(request)
    else this.#tryAgain(request, failure)
    // Those who waited for this place may have to look elsewhere now.
    if (isEjected || isHeld) this.#serveAll(model)
    else this.#serve(state)
  }

  #tryAgain(request: RunningRequest, failure: Failure): void {
    const { state, startedMs } = request
    if (failure.kind === 'withdrawn') {
      request.tries--
      request.model.retries.unmade(request.tries === 0 ? 'first' : 'retry', startedMs, this.#nowMs)
      return this.#place(request)
    }
    if (request.lastFailure === undefined) request.firstFailureMs = this.#nowMs
    request.lastFailure = failure
    if (!mayAskAgain(request, failure)) request.failedAt = [...request.failedAt, state]
    if (failure.kind === 'timed-out') request.timeouts++
    // A timeout has cost the caller a minute already: one more try, not two.
    if (request.tries >= this.#policy.attemptsMax || request.timeouts > 1) this.#reject(request)
    else this.#place(request)
  }

  // ---- the world ------------------------------------------------------------------------------------------------

  /** Something happened at this place. */
  #note(state: EndpointState): void {
    if (this.#fleet.hasCrowds && this.#fleet.isPresent(state))
      this.#fleet.model(state.endpoint.model).note(state, this.#nowMs)
  }

  #healthChanged(state: EndpointState): void {
    if (state.isEjected) this.#returns.add(state, state.ejectedUntilMs)
    if (!this.#fleet.isPresent(state)) return
    this.#fleet.model(state.endpoint.model).healthChanged(state, this.#nowMs)
    this.#act({ kind: 'endpoint-state', endpointId: state.endpoint.id, state: state.health(this.#nowMs) })
  }

  #eligibilityChanged(requestId: RequestId, eligible: Eligibility): void {
    const request = this.#requests.get(requestId)
    if (request === undefined) return
    const wasWaiting = request.waiting
    // Out of its group under the old word, into one under the new; its place in the order of arrival stays.
    this.#stopWaiting(request)
    request.eligible = eligible
    if (wasWaiting) this.#place(request)
  }

  #probed(endpointId: EndpointId, reachable: boolean): void {
    const state = this.#fleet.find(endpointId)
    if (state === undefined || !state.probed(reachable)) return
    this.#healthChanged(state)
    this.#serveAll(this.#fleet.model(state.endpoint.model))
  }
}

/** Which of two is kept where only one may wait: the larger priority, a retry, then one of the tenant with fewer waiting. */
function isWorthMore(request: OpenRequest, other: OpenRequest): boolean {
  const { flow, tries } = request
  const priorities = flow.account.priority - other.flow.account.priority
  if (priorities !== 0) return priorities > 0
  if (tries > 0 !== other.tries > 0) return tries > 0
  return flow !== other.flow && flow.waiting + 1 < other.flow.waiting
}

const noRequests: readonly OpenRequest[] = []
const noTokens: TokenCount = { input: 0, cachedInput: 0, output: 0 }

/** May the same place be asked again for this request? */
function mayAskAgain(request: OpenRequest, failure: Failure): boolean {
  // A vendor that is only busy: once its Retry-After is over.
  if (failure.kind === 'rate-limited' || failure.stale === true) return true
  // A connection that broke, where there is no other place: its server may have been restarted.
  return failure.kind === 'reset' && request.tries === 1 && request.eligible.indices.length === 1
}
