import type { RoutingPreset } from './endpoint.ts'
import type { EndpointState } from './endpoint-state.ts'
import type { Fleet } from './fleet.ts'
import type { OpenRequest } from './open-request.ts'
import type { RoutingPolicy } from './policies/policy.ts'
import { presets } from './policies/presets.ts'
import type { Random } from './random.ts'
import type { Eligibility } from './request.ts'
import { RetryBudget } from './retry-budget.ts'
import { WaitQueue } from './wait-queue.ts'

/** Until requests of the model have ended, a service is taken to last this long. */
const serviceMsDefault = 5_000

/** One model: the endpoints that serve it and which of them are good, who waits for them, how many retries are left. */
export class Model {
  readonly fleet: Fleet
  readonly random: Random
  readonly queue = new WaitQueue<OpenRequest>()
  readonly retries = new RetryBudget()
  #states: readonly EndpointState[] = []
  #policy: RoutingPolicy = presets.interactive
  #panic = false
  #good = 0
  #serviceMs = serviceMsDefault

  constructor(fleet: Fleet, random: Random) {
    this.fleet = fleet
    this.random = random
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
    this.#good = this.#states.filter((state) => this.isGood(state)).length
  }

  served(durationMs: number): void {
    this.#serviceMs += (durationMs - this.#serviceMs) / 32
  }

  /** Is it served like any other: open, or ejected together with too many? */
  isGood(state: EndpointState): boolean {
    return state.isOpen || (this.#panic && !state.down)
  }

  get isAllGood(): boolean {
    return this.#good === this.#states.length
  }

  /** A first try needs no leave. */
  hasLeave(request: OpenRequest, nowMs: number): boolean {
    return request.tries === 0 || this.retries.canRetry(nowMs)
  }

  /** Is there a place, good or bad, that may serve it now or before its wait ends? */
  mayRecover(request: OpenRequest): boolean {
    return this.#hasPlace(request, () => true)
  }

  /** Is there an open one? */
  hasOpen(request: OpenRequest): boolean {
    return this.#hasPlace(request, (state) => state.isOpen)
  }

  /** Is there no good one? Then a bad one is tried: the last place of a request is never ejected for it. */
  isCornered(request: OpenRequest): boolean {
    return !(this.#good > 0 && this.#hasPlace(request, (state) => this.isGood(state)))
  }

  #hasPlace({ eligible, waitUntilMs, failedAt }: OpenRequest, passes: (state: EndpointState) => boolean): boolean {
    for (const index of eligible.indices) {
      const state = this.fleet.at(index)
      if (passes(state) && state.heldUntilMs <= waitUntilMs && !failedAt.includes(state)) return true
    }
    return false
  }

  /** Expected wait of a request that came now, ms: those ahead of it shared out over the slots it may use. */
  expectedWaitMs(eligible: Eligibility, priority: number, nowMs: number): number {
    if (!this.fleet.fits(eligible)) return 0
    let slots = 0
    let room = false
    let soonestMs = Number.POSITIVE_INFINITY
    for (const index of eligible.indices) {
      const state = this.fleet.at(index)
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
}
