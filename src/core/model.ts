import type { RoutingPreset } from './endpoint.ts'
import type { Candidate, EndpointState } from './endpoint-state.ts'
import type { OpenRequest } from './open-request.ts'
import type { RoutingPolicy, ScoringContext } from './policies/policy.ts'
import { presets } from './policies/presets.ts'
import type { Random } from './random.ts'
import { hashText, rendezvousWeight } from './rendezvous.ts'
import { type Eligibility, isEligible } from './request.ts'
import { WaitQueue } from './wait-queue.ts'

/** Up to so many candidates all are rated; of more, so many drawn at random (power of k choices, Mitzenmacher 2001). */
const ratedMax = 256
const drawn = 24
/** Until requests of the model have ended, a service is taken to last this long. */
const serviceMsDefault = 5_000

/**
 * How much a waiting request puts up with. `patient`: open places within their limits. `impatient`: also one that is
 * warming up, or a try at one that is ejected. `urgent`: any with a free slot.
 */
export type Urgency = 'patient' | 'impatient' | 'urgent'

/** One model: the endpoints that serve it, how they are chosen, and who waits for them. */
export class Model {
  readonly queue = new WaitQueue<OpenRequest>()
  readonly #random: Random
  #states: readonly EndpointState[] = []
  #policy: RoutingPolicy = presets.interactive
  /** More than half of the endpoints are ejected: the trouble is likely not theirs, so all are tried. */
  #panic = false
  #serviceMs = serviceMsDefault
  readonly #context: { nowMs: number; affinityIndex: number } = { nowMs: 0, affinityIndex: -1 }

  constructor(random: Random) {
    this.#random = random
  }

  /** Those of `all` that serve this model, in the order they are listed. */
  setEndpoints(states: readonly EndpointState[], preset: RoutingPreset): void {
    this.#states = states
    this.#policy = presets[preset]
    this.healthChanged()
  }

  healthChanged(): void {
    let ejected = 0
    for (const state of this.#states) if (state.isEjected) ejected++
    this.#panic = ejected * 2 > this.#states.length
  }

  served(durationMs: number): void {
    this.#serviceMs += (durationMs - this.#serviceMs) / 32
  }

  /** The place for a request at this moment, or undefined where it has to wait. */
  choose(request: OpenRequest, byIndex: readonly EndpointState[], nowMs: number): EndpointState | undefined {
    const { indices } = request.eligible
    const chosen = this.#policy.inOrder
      ? this.#firstInOrder(request, byIndex, nowMs)
      : indices.length > ratedMax
        ? (this.#bestDrawn(request, byIndex, nowMs) ?? this.#best(request, indices, byIndex, nowMs))
        : this.#best(request, indices, byIndex, nowMs)
    return chosen ?? this.#lastResort(request, byIndex, nowMs)
  }

  /** Is there still a place that may serve it before its deadline, now or after a wait? */
  mayRecover(request: OpenRequest, byIndex: readonly EndpointState[]): boolean {
    for (const index of request.eligible.indices) {
      const state = byIndex[index] as EndpointState
      if (!request.failedAt.includes(state) && state.heldUntilMs < request.deadlineMs) return true
    }
    return false
  }

  /** May this waiting request take this place, which is one of its eligible ones? */
  canTake(
    request: OpenRequest,
    state: EndpointState,
    urgency: Urgency,
    byIndex: readonly EndpointState[],
    nowMs: number,
  ): boolean {
    if (request.failedAt.includes(state) || state.heldUntilMs > nowMs) return false
    if (urgency === 'urgent') return state.inFlight < state.endpoint.concurrencyMax
    if (this.#policy.inOrder && this.#comesLater(request, state, byIndex, nowMs)) return false
    if (this.#isUsable(state, nowMs))
      return state.inFlight < (urgency === 'patient' ? state.slots(nowMs) : state.endpoint.concurrencyMax)
    return urgency === 'impatient' && state.probes === 0 && state.inFlight < state.endpoint.concurrencyMax
  }

  /** Expected wait of a request that came now, ms: those ahead of it shared out over the slots it may use. */
  expectedWaitMs(eligible: Eligibility, byIndex: readonly EndpointState[], priority: number, nowMs: number): number {
    let slots = 0
    let room = false
    let soonestMs = Number.POSITIVE_INFINITY
    for (const index of eligible.indices) {
      const state = byIndex[index]
      if (state === undefined) continue
      if (this.#isUsable(state, nowMs) && state.heldUntilMs <= nowMs) {
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

  /** What `choose` would see for each eligible endpoint. Draws no random number and changes nothing. */
  explain(
    eligible: Eligibility,
    affinity: string | undefined,
    byIndex: readonly EndpointState[],
    nowMs: number,
  ): Candidate[] {
    const hash = affinity === undefined ? undefined : hashText(affinity)
    const context = { nowMs, affinityIndex: this.#affinityIndex(hash, eligible.indices, byIndex, nowMs) }
    return [...eligible.indices].flatMap((index) => {
      const state = byIndex[index]
      if (state === undefined) return []
      const removedBy = this.#removedBy(state, nowMs)
      return [
        { ...state.snapshot(nowMs), ...(removedBy !== undefined && { removedBy }), score: this.#score(state, context) },
      ]
    })
  }

  #removedBy(state: EndpointState, nowMs: number): string | undefined {
    const seconds = (untilMs: number) => `${Math.max(1, Math.ceil((untilMs - nowMs) / 1000))} s`
    if (state.heldUntilMs > nowMs) return `the vendor asked to be left alone for ${seconds(state.heldUntilMs)}`
    const health = state.health(nowMs)
    if (health === 'down') return 'down: it cannot be reached'
    if (health === 'ejected' && !this.#panic) return `ejected after failures for ${seconds(state.ejectedUntilMs)}`
    const slots = state.slots(nowMs)
    if (state.inFlight >= slots) return `full: ${state.inFlight} of ${slots} slots`
    return undefined
  }

  #isUsable(state: EndpointState, nowMs: number): boolean {
    if (state.isOpen) return true
    if (state.down) return false
    // Half-open: one request at a time finds out.
    return this.#panic || (state.ejectedUntilMs <= nowMs && state.probes === 0)
  }

  #hasRoom(request: OpenRequest, state: EndpointState, nowMs: number): boolean {
    return (
      this.#isUsable(state, nowMs) &&
      state.heldUntilMs <= nowMs &&
      state.inFlight < state.slots(nowMs) &&
      (request.failedAt.length === 0 || !request.failedAt.includes(state))
    )
  }

  #best(
    request: OpenRequest,
    indices: Int32Array,
    byIndex: readonly EndpointState[],
    nowMs: number,
  ): EndpointState | undefined {
    const context = this.#contextFor(request, byIndex, nowMs)
    let best: EndpointState | undefined
    let bestScore = Number.NEGATIVE_INFINITY
    for (let i = 0; i < indices.length; i++) {
      const state = byIndex[indices[i] as number] as EndpointState
      if (!this.#hasRoom(request, state, nowMs)) continue
      // One that waits to be proven good again goes first: only a request can prove it.
      if (!state.isOpen && !this.#panic) return state
      const score = this.#score(state, context)
      if (score > bestScore) {
        best = state
        bestScore = score
      }
    }
    return best
  }

  #bestDrawn(request: OpenRequest, byIndex: readonly EndpointState[], nowMs: number): EndpointState | undefined {
    const { indices } = request.eligible
    const context = this.#contextFor(request, byIndex, nowMs)
    let best: EndpointState | undefined
    let bestScore = Number.NEGATIVE_INFINITY
    for (let draw = 0; draw <= drawn; draw++) {
      // The place of the request's prefix is always among those compared.
      const index = draw === 0 ? context.affinityIndex : indices[Math.floor(this.#random.next() * indices.length)]
      const state = byIndex[index as number]
      if (state === undefined || !this.#hasRoom(request, state, nowMs)) continue
      const score = this.#score(state, context)
      if (score > bestScore) {
        best = state
        bestScore = score
      }
    }
    return best
  }

  /** In the listed order: one that is full is waited for, one that fails is passed over. */
  #firstInOrder(request: OpenRequest, byIndex: readonly EndpointState[], nowMs: number): EndpointState | undefined {
    for (const index of request.eligible.indices) {
      const state = byIndex[index] as EndpointState
      if (this.#isPassedOver(request, state, nowMs)) continue
      return this.#hasRoom(request, state, nowMs) ? state : undefined
    }
    return undefined
  }

  #isPassedOver(request: OpenRequest, state: EndpointState, nowMs: number): boolean {
    return request.failedAt.includes(state) || state.heldUntilMs > nowMs || !this.#isUsable(state, nowMs)
  }

  #comesLater(request: OpenRequest, state: EndpointState, byIndex: readonly EndpointState[], nowMs: number): boolean {
    for (const index of request.eligible.indices) {
      const earlier = byIndex[index] as EndpointState
      if (earlier === state) return false
      if (!this.#isPassedOver(request, earlier, nowMs)) return true
    }
    return false
  }

  /** No place that is thought good is left to this request: the least bad of the others, if one has a free slot. */
  #lastResort(request: OpenRequest, byIndex: readonly EndpointState[], nowMs: number): EndpointState | undefined {
    let best: EndpointState | undefined
    let bestDueMs = Number.POSITIVE_INFINITY
    for (const index of request.eligible.indices) {
      const state = byIndex[index] as EndpointState
      if (request.failedAt.includes(state)) continue
      // Waiting for a good place that is full, or held by its vendor's word, is better than asking a bad one.
      if (state.isOpen || state.heldUntilMs > nowMs) return undefined
      const dueMs = state.down ? Number.MAX_VALUE : state.ejectedUntilMs
      if (state.inFlight < state.endpoint.concurrencyMax && dueMs < bestDueMs) {
        best = state
        bestDueMs = dueMs
      }
    }
    return best
  }

  #contextFor(request: OpenRequest, byIndex: readonly EndpointState[], nowMs: number): ScoringContext {
    this.#context.nowMs = nowMs
    this.#context.affinityIndex = this.#policy.usesAffinity
      ? this.#affinityIndex(request.affinityHash, request.eligible.indices, byIndex, nowMs)
      : -1
    return this.#context
  }

  /** The eligible endpoint that requests of this affinity go to while it is open and has room. */
  #affinityIndex(
    hash: number | undefined,
    indices: Int32Array,
    byIndex: readonly EndpointState[],
    nowMs: number,
  ): number {
    if (hash === undefined) return -1
    let best = -1
    let bestWeight = -1
    for (let i = 0; i < indices.length; i++) {
      const index = indices[i] as number
      const state = byIndex[index] as EndpointState
      const weight = rendezvousWeight(hash, state.hash)
      if (weight > bestWeight && state.isOpen && state.inFlight < state.slots(nowMs)) {
        best = index
        bestWeight = weight
      }
    }
    return best
  }

  #score(state: EndpointState, context: ScoringContext): number {
    let score = 0
    for (const { scorer, weight } of this.#policy.scorers) score += weight * scorer.score(state, context)
    return score
  }
}

/** Is any place that the word allows thought good? */
export function anyOpen(eligible: Eligibility, byIndex: readonly EndpointState[]): boolean {
  for (const index of eligible.indices) if (byIndex[index]?.isOpen === true && isEligible(eligible, index)) return true
  return false
}
