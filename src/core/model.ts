import type { RoutingPreset } from './endpoint.ts'
import type { EndpointState } from './endpoint-state.ts'
import type { OpenRequest } from './open-request.ts'
import { type RoutingPolicy, rate, type Weights } from './policies/policy.ts'
import { presets } from './policies/presets.ts'
import type { Random } from './random.ts'
import { rendezvousWeight } from './rendezvous.ts'
import type { Eligibility } from './request.ts'
import { RetryBudget } from './retry-budget.ts'
import { WaitQueue } from './wait-queue.ts'

/** Until requests of the model have ended, a service is taken to last this long. */
const serviceMsDefault = 5_000
/** More than all ratings of a place together: what a retry looks for comes before what is fast, idle or cheap. */
const decisive = 1_000

/** One model: the endpoints that serve it, how they are chosen, who waits for them, how many retries it has left. */
export class Model {
  readonly queue = new WaitQueue<OpenRequest>()
  readonly retries = new RetryBudget()
  readonly #random: Random
  #states: readonly EndpointState[] = []
  #policy: RoutingPolicy = presets.interactive
  #panic = false
  #serviceMs = serviceMsDefault

  constructor(random: Random) {
    this.#random = random
  }

  /** Those of all endpoints that serve this model, in the order they are listed. */
  get states(): readonly EndpointState[] {
    return this.#states
  }

  get policy(): RoutingPolicy {
    return this.#policy
  }

  setEndpoints(states: readonly EndpointState[], preset: RoutingPreset): void {
    this.#states = states
    this.#policy = presets[preset]
    this.healthChanged()
  }

  healthChanged(): void {
    let ejected = 0
    for (const state of this.#states) if (state.isEjected) ejected++
    // More than half: the trouble is likely not theirs, so all are tried. A list in order says itself what is next.
    this.#panic = this.#policy.kind === 'best' && ejected * 2 > this.#states.length
  }

  served(durationMs: number): void {
    this.#serviceMs += (durationMs - this.#serviceMs) / 32
  }

  /** Is it served like any other: open, or ejected together with too many? */
  isGood(state: EndpointState): boolean {
    return state.isOpen || (this.#panic && !state.down)
  }

  /** The place for a request at this moment, or undefined where it has to wait. */
  choose(request: OpenRequest, byIndex: readonly EndpointState[], nowMs: number): EndpointState | undefined {
    const chosen =
      this.#policy.kind === 'best'
        ? this.#best(request, this.#policy.weights, byIndex, nowMs)
        : this.#firstInOrder(request, byIndex, nowMs)
    return chosen ?? (this.isCornered(request, byIndex) ? this.#leastBad(request, byIndex, nowMs) : undefined)
  }

  /**
   * Has it no good place, now or before its wait ends? Then a bad one is tried: the last place of a request is never
   * ejected for it.
   */
  isCornered(request: OpenRequest, byIndex: readonly EndpointState[]): boolean {
    for (const index of request.eligible.indices) {
      const state = byIndex[index] as EndpointState
      if (this.isGood(state) && state.heldUntilMs <= request.waitUntilMs && !request.failedAt.includes(state))
        return false
    }
    return true
  }

  /** Is there an open place, now or before its wait ends? */
  hasOpen(request: OpenRequest, byIndex: readonly EndpointState[]): boolean {
    for (const index of request.eligible.indices) {
      const state = byIndex[index] as EndpointState
      if (state.isOpen && state.heldUntilMs <= request.waitUntilMs && !request.failedAt.includes(state)) return true
    }
    return false
  }

  /** Is there a place, good or bad, that may serve it now or before its wait ends? */
  mayRecover(request: OpenRequest, byIndex: readonly EndpointState[]): boolean {
    for (const index of request.eligible.indices) {
      const state = byIndex[index] as EndpointState
      if (state.heldUntilMs <= request.waitUntilMs && !request.failedAt.includes(state)) return true
    }
    return false
  }

  /** Does the list bid the request wait for another place before this one? */
  comesLater(request: OpenRequest, state: EndpointState, byIndex: readonly EndpointState[], nowMs: number): boolean {
    if (this.#policy.kind !== 'in-order') return false
    for (const index of request.eligible.indices) {
      const earlier = byIndex[index] as EndpointState
      if (earlier === state) return false
      if (!this.#isPassedOver(request, earlier, nowMs)) return true
    }
    return false
  }

  /** Expected wait of a request that came now, ms: those ahead of it shared out over the slots it may use. */
  expectedWaitMs(eligible: Eligibility, byIndex: readonly EndpointState[], priority: number, nowMs: number): number {
    let slots = 0
    let room = false
    let soonestMs = Number.POSITIVE_INFINITY
    for (const index of eligible.indices) {
      const state = byIndex[index]
      if (state === undefined) continue
      if (state.heldUntilMs <= nowMs && (this.isGood(state) || state.isTrialDue(false, nowMs))) {
        slots += state.endpoint.concurrencyMax
        if (state.inFlight < state.slots(nowMs)) room = true
      } else {
        const untilMs = Math.max(state.heldUntilMs, state.isEjected ? state.ejectedUntilMs : nowMs + serviceMsDefault)
        soonestMs = Math.min(soonestMs, untilMs - nowMs)
      }
    }
    if (slots === 0) return Number.isFinite(soonestMs) ? Math.max(0, soonestMs) : 0
    const ahead = this.queue.ahead(priority)
    if (room && ahead === 0) return 0
    return ((ahead + 1) * this.#serviceMs) / slots
  }

  #best(
    request: OpenRequest,
    weights: Weights,
    byIndex: readonly EndpointState[],
    nowMs: number,
  ): EndpointState | undefined {
    const { affinityHash, failedAt } = request
    const { indices } = request.eligible
    const { length } = indices
    const homing = affinityHash !== undefined && weights.samePlace > 0
    const tries = this.#mayTryOut(request, nowMs)
    let best: EndpointState | undefined
    let bestScore = Number.NEGATIVE_INFINITY
    let home: EndpointState | undefined
    let homeScore = Number.NEGATIVE_INFINITY
    let homeWeight = -1
    // From anywhere on: of equals another is first each time, also where several gateways see the same.
    let at = Math.floor(this.#random.next() * length)
    for (let seen = 0; seen < length; seen++) {
      const state = byIndex[indices[at] as number] as EndpointState
      at = at + 1 === length ? 0 : at + 1
      if (state.heldUntilMs > nowMs || state.inFlight >= state.slots(nowMs)) continue
      if (!this.isGood(state)) {
        // One that waits to be proven good again goes first: only a request can prove it.
        if (tries && state.isTrialDue(false, nowMs)) return state
        continue
      }
      let score = rate(state, weights, nowMs)
      if (failedAt.length > 0) {
        if (failedAt.includes(state)) continue
        score -= doubts(state, failedAt) * decisive
      }
      if (score > bestScore) {
        best = state
        bestScore = score
      }
      if (!homing) continue
      const weight = rendezvousWeight(affinityHash, state.hash)
      if (weight > homeWeight) {
        home = state
        homeScore = score
        homeWeight = weight
      }
    }
    return homeScore + weights.samePlace > bestScore ? home : best
  }

  /** A request that has failed before, or could not be tried elsewhere if it did, is not the one to try a place out. */
  #mayTryOut(request: OpenRequest, nowMs: number): boolean {
    return request.tries === 0 && this.retries.canRetry(nowMs)
  }

  #firstInOrder(request: OpenRequest, byIndex: readonly EndpointState[], nowMs: number): EndpointState | undefined {
    for (const index of request.eligible.indices) {
      const state = byIndex[index] as EndpointState
      if (this.#isPassedOver(request, state, nowMs)) continue
      return state.inFlight < state.slots(nowMs) ? state : undefined
    }
    return undefined
  }

  #isPassedOver(request: OpenRequest, state: EndpointState, nowMs: number): boolean {
    if (state.heldUntilMs > nowMs || request.failedAt.includes(state)) return true
    return !this.isGood(state) && !(this.#mayTryOut(request, nowMs) && state.isTrialDue(false, nowMs))
  }

  /** Of places that are thought bad the one whose time is over soonest, if one has a free slot. */
  #leastBad(request: OpenRequest, byIndex: readonly EndpointState[], nowMs: number): EndpointState | undefined {
    let best: EndpointState | undefined
    let bestDueMs = Number.POSITIVE_INFINITY
    for (const index of request.eligible.indices) {
      const state = byIndex[index] as EndpointState
      if (this.isGood(state) || state.heldUntilMs > nowMs || state.inFlight >= state.endpoint.concurrencyMax) continue
      if (request.failedAt.includes(state)) continue
      const dueMs = state.down ? Number.MAX_VALUE : state.ejectedUntilMs
      if (dueMs < bestDueMs) {
        best = state
        bestDueMs = dueMs
      }
    }
    return best
  }
}

/**
 * What speaks against a place for a request that has failed elsewhere: the place is ejected (and only in use because
 * most are), or its vendor is one that failed the request. Vendors fail as a whole more often than two at once.
 */
function doubts(state: EndpointState, failedAt: readonly EndpointState[]): number {
  const doubts = state.isOpen ? 0 : 2
  for (const { endpoint } of failedAt) {
    if (endpoint.subProcessor === state.endpoint.subProcessor) return doubts + 1
  }
  return doubts
}
