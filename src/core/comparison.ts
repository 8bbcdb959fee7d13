import { lookedAtMax } from './crowd.ts'
import type { EndpointState } from './endpoint-state.ts'
import type { Model } from './model.ts'
import type { OpenRequest } from './open-request.ts'
import { isEligible } from './request.ts'

/** Of very many places so many are rated: each one more helps less (Mitzenmacher, The power of two choices, 2001). */
const drawn = 4
/** For one that has failed: enough to find another vendor, also where its own has two thirds of all. */
const drawnToRetry = 16
/** More than any score: what a retry looks for comes before what is fast, idle, cheap or warm. */
const decisive = 1e12

/** The places that one request may take now, compared by whatever score is given them. */
export class Comparison {
  /** The one with the highest score so far. */
  best: EndpointState | undefined
  #bestScore = Number.NEGATIVE_INFINITY
  readonly #model: Model
  readonly #request: OpenRequest
  readonly #nowMs: number

  constructor(model: Model, request: OpenRequest, nowMs: number) {
    this.#model = model
    this.#request = request
    this.#nowMs = nowMs
  }

  /** Compares a place with the best so far, if the request may take it. */
  offer(state: EndpointState, score: (state: EndpointState) => number): void {
    const { failedAt } = this.#request
    if (state.heldUntilMs > this.#nowMs || state.inFlight >= state.slots(this.#nowMs)) return
    if (!this.#model.isGood(state) || failedAt.includes(state)) return
    if (!hasRoomFor(this.#model, this.#request, state, this.#nowMs)) return
    const total = score(state) - doubts(state, failedAt) * decisive
    if (total <= this.#bestScore) return
    this.best = state
    this.#bestScore = total
  }

  /**
   * Offers every eligible place; of very many, unless `everyOne` is asked for, a few at random, or if none of these has
   * room, one that has. Gives a place that waits to be tried out where there is one and the request may do that.
   */
  offerAll(score: (state: EndpointState) => number, everyOne = false): EndpointState | undefined {
    const { fleet, random, crowd } = this.#model
    const { eligible, failedAt } = this.#request
    const { indices } = eligible
    const { length } = indices
    const tries = mayTryOut(this.#model, this.#request, this.#nowMs)
    if (crowd === undefined || everyOne || length <= lookedAtMax) {
      // From anywhere on: of equals another is first each time, also where several gateways see the same.
      let at = Math.floor(random.next() * length)
      for (let seen = 0; seen < length; seen++) {
        const state = fleet.at(indices[at] as number)
        at = at + 1 === length ? 0 : at + 1
        if (tries && this.#mayTryOut(state)) return state
        this.offer(state, score)
      }
      return undefined
    }
    const due = tries ? crowd.due(eligible, this.#nowMs) : undefined
    if (due !== undefined && this.#mayTryOut(due)) return due
    const draws = failedAt.length > 0 ? drawnToRetry : drawn
    let index = 0
    for (let draw = 0; draw < draws; draw++) {
      index = indices[Math.floor(random.next() * length)] as number
      if (crowd.hasRoom(index)) this.offer(fleet.at(index), score)
    }
    if (this.best !== undefined) return undefined
    for (const state of crowd.roomy(eligible, index)) {
      this.offer(state, score)
      if (this.best !== undefined) break
    }
    return undefined
  }

  #mayTryOut(state: EndpointState): boolean {
    if (!state.isTrialDue(false, this.#nowMs) || this.#model.isGood(state)) return false
    return state.isFree(this.#nowMs) && hasRoomFor(this.#model, this.#request, state, this.#nowMs)
  }
}

/**
 * What speaks against a place for a request that has failed elsewhere: the place is ejected (and only in use because
 * most are), or its vendor is one that failed the request. Vendors fail as a whole more often than two at once.
 */
export function doubts(state: EndpointState, failedAt: readonly EndpointState[]): number {
  if (failedAt.length === 0) return 0
  const doubts = state.isOpen ? 0 : 2
  const isFailedVendor = failedAt.some(({ endpoint }) => endpoint.subProcessor === state.endpoint.subProcessor)
  return isFailedVendor ? doubts + 1 : doubts
}

/** A request that has failed before, or could not be tried elsewhere if it did, is not the one to try a place out. */
export function mayTryOut({ retries }: Model, request: OpenRequest, nowMs: number): boolean {
  return request.tries === 0 && retries.canRetry(nowMs)
}

/** May its class be given this place, as saturated as it is? */
export function isBelowCeiling({ saturationMax }: OpenRequest, state: EndpointState, nowMs: number): boolean {
  return saturationMax === Number.POSITIVE_INFINITY || state.saturation(nowMs) < saturationMax
}

/** Do its class's ceiling and the vendor's quota allow this place, where a slot is free? */
export function hasRoomFor(model: Model, request: OpenRequest, state: EndpointState, nowMs: number): boolean {
  return isBelowCeiling(request, state, nowMs) && hasTokens(model, request, state, nowMs)
}

/**
 * Does the vendor's quota there, as far as it is known, allow this request now? Not where what there is of tokens is kept
 * for one that waits and comes before it: else those who need few would pass by one who needs many until its time is up.
 */
export function hasTokens(
  { fleet, shares }: Model,
  request: OpenRequest,
  state: EndpointState,
  nowMs: number,
): boolean {
  const { quota, claimant } = state
  if (quota === undefined) return true
  if (!quota.fits(request.tokens, nowMs)) return false
  if (claimant === undefined || claimant === request || !claimant.waiting) return true
  // It is served before this one, who asks for it.
  if (quota.fits(claimant.tokens, nowMs)) return true
  const { eligible } = claimant
  return !(shares.comesBefore(claimant, request) && fleet.fits(eligible) && isEligible(eligible, state.endpoint.index))
}
