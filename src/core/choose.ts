import { type Crowd, lookedAtMax } from './crowd.ts'
import type { EndpointState } from './endpoint-state.ts'
import type { Model } from './model.ts'
import { comesBefore, type OpenRequest } from './open-request.ts'
import { rate, type Weights } from './policies/policy.ts'
import { rendezvousWeight } from './rendezvous.ts'
import { isEligible } from './request.ts'

/** Of very many places so many are rated: each one more helps less (Mitzenmacher, The power of two choices, 2001). */
const drawn = 4
/** For one that has failed: enough to find another vendor, also where its own has two thirds of all. */
const drawnToRetry = 16

/** More than all ratings of a place together: what a retry looks for comes before what is fast, idle or cheap. */
const decisive = 1_000

/** The place for a request of this model at this moment, or undefined where it has to wait. */
export function choose(model: Model, request: OpenRequest, nowMs: number): EndpointState | undefined {
  const { policy } = model
  const chosen =
    policy.kind === 'best' ? best(model, request, policy.weights, nowMs) : firstInOrder(model, request, nowMs)
  return chosen ?? (model.isCornered(request) ? leastBad(model, request, nowMs) : undefined)
}

/**
 * Does the vendor's quota there, as far as it is known, allow this request now? Not where what there is of tokens is kept
 * for one that waits and comes before it: else those who need few would pass by one who needs many until its time is up.
 */
export function hasTokens({ fleet }: Model, request: OpenRequest, state: EndpointState, nowMs: number): boolean {
  const { quota, claimant } = state
  if (quota === undefined) return true
  if (!quota.fits(request.tokens, nowMs)) return false
  if (claimant === undefined || claimant === request || !claimant.waiting) return true
  // It is served before this one, who asks for it.
  if (quota.fits(claimant.tokens, nowMs)) return true
  const { eligible } = claimant
  return !(comesBefore(claimant, request) && fleet.fits(eligible) && isEligible(eligible, state.endpoint.index))
}

/** Does the list bid the request wait for another place before this one? */
export function comesLater(model: Model, request: OpenRequest, state: EndpointState, nowMs: number): boolean {
  if (model.policy.kind !== 'in-order') return false
  for (const index of request.eligible.indices) {
    const earlier = model.fleet.at(index)
    if (earlier === state) return false
    if (!isPassedOver(model, request, earlier, nowMs)) return true
  }
  return false
}

function best(model: Model, request: OpenRequest, weights: Weights, nowMs: number): EndpointState | undefined {
  const { fleet, crowd } = model
  // By price alone there is one order of all, which a sample does not know.
  if (crowd !== undefined && weights.lowPrice === 0 && request.eligible.indices.length > lookedAtMax)
    return bestOfFew(model, crowd, request, weights, nowMs)
  const { affinityHash, failedAt } = request
  const { indices } = request.eligible
  const { length } = indices
  const homing = affinityHash !== undefined && weights.samePlace > 0
  const tries = mayTryOut(model, request, nowMs)
  let best: EndpointState | undefined
  let bestScore = Number.NEGATIVE_INFINITY
  let home: EndpointState | undefined
  let homeScore = Number.NEGATIVE_INFINITY
  let homeWeight = -1
  // From anywhere on: of equals another is first each time, also where several gateways see the same.
  let at = Math.floor(model.random.next() * length)
  for (let seen = 0; seen < length; seen++) {
    const state = fleet.at(indices[at] as number)
    at = at + 1 === length ? 0 : at + 1
    if (state.heldUntilMs > nowMs || state.inFlight >= state.slots(nowMs)) continue
    if (state.quota !== undefined && !hasTokens(model, request, state, nowMs)) continue
    if (!model.isGood(state)) {
      // One that waits to be proven good again goes first: only a request can prove it.
      if (tries && state.isTrialDue(false, nowMs)) return state
      continue
    }
    if (failedAt.includes(state)) continue
    const score = rate(state, weights, nowMs) - doubts(state, failedAt) * decisive
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

/** Of very many: the best of a few at random and of the two where its affinity is at home. */
function bestOfFew(
  model: Model,
  crowd: Crowd,
  request: OpenRequest,
  weights: Weights,
  nowMs: number,
): EndpointState | undefined {
  const { fleet, random } = model
  const { eligible, affinityHash, failedAt } = request
  const { indices } = eligible
  const due = mayTryOut(model, request, nowMs) ? crowd.due(eligible, nowMs) : undefined
  if (due !== undefined && hasTokens(model, request, due, nowMs)) return due
  let best: EndpointState | undefined
  let bestScore = Number.NEGATIVE_INFINITY
  const consider = (state: EndpointState, more: number) => {
    if (state.heldUntilMs > nowMs || state.inFlight >= state.slots(nowMs) || !model.isGood(state)) return
    if (failedAt.includes(state) || !hasTokens(model, request, state, nowMs)) return
    const score = rate(state, weights, nowMs) - doubts(state, failedAt) * decisive + more
    if (score <= bestScore) return
    best = state
    bestScore = score
  }
  const draws = failedAt.length > 0 ? drawnToRetry : drawn
  let index = 0
  for (let draw = 0; draw < draws; draw++) {
    index = indices[Math.floor(random.next() * indices.length)] as number
    if (crowd.hasRoom(index)) consider(fleet.at(index), 0)
  }
  if (affinityHash !== undefined && weights.samePlace > 0)
    for (const which of bothHomes) consider(crowd.home(affinityHash, which, eligible), weights.samePlace)
  if (best !== undefined) return best
  // Nearly all are full: whoever has room.
  for (const state of crowd.roomy(eligible, index)) {
    consider(state, 0)
    if (best !== undefined) return best
  }
  return undefined
}

const bothHomes = [0, 1] as const

/**
 * What speaks against a place for a request that has failed elsewhere: the place is ejected (and only in use because
 * most are), or its vendor is one that failed the request. Vendors fail as a whole more often than two at once.
 */
function doubts(state: EndpointState, failedAt: readonly EndpointState[]): number {
  if (failedAt.length === 0) return 0
  const doubts = state.isOpen ? 0 : 2
  const isFailedVendor = failedAt.some(({ endpoint }) => endpoint.subProcessor === state.endpoint.subProcessor)
  return isFailedVendor ? doubts + 1 : doubts
}

/** A request that has failed before, or could not be tried elsewhere if it did, is not the one to try a place out. */
function mayTryOut({ retries }: Model, request: OpenRequest, nowMs: number): boolean {
  return request.tries === 0 && retries.canRetry(nowMs)
}

function firstInOrder(model: Model, request: OpenRequest, nowMs: number): EndpointState | undefined {
  for (const index of request.eligible.indices) {
    const state = model.fleet.at(index)
    if (isPassedOver(model, request, state, nowMs)) continue
    return state.inFlight < state.slots(nowMs) ? state : undefined
  }
  return undefined
}

function isPassedOver(model: Model, request: OpenRequest, state: EndpointState, nowMs: number): boolean {
  if (state.heldUntilMs > nowMs || request.failedAt.includes(state)) return true
  if (!hasTokens(model, request, state, nowMs)) return true
  if (model.isGood(state)) return false
  return !state.isTrialDue(false, nowMs) || !mayTryOut(model, request, nowMs)
}

/** Of places that are thought bad the one whose time is over soonest, if one has a free slot. */
export function leastBad(model: Model, request: OpenRequest, nowMs: number): EndpointState | undefined {
  let best: EndpointState | undefined
  let bestDueMs = Number.POSITIVE_INFINITY
  for (const state of model.badOnes(request.eligible)) {
    if (model.isGood(state) || !state.isFree(nowMs) || request.failedAt.includes(state)) continue
    if (!hasTokens(model, request, state, nowMs)) continue
    const dueMs = state.down ? Number.MAX_VALUE : state.ejectedUntilMs
    if (dueMs < bestDueMs) {
      best = state
      bestDueMs = dueMs
    }
  }
  return best
}
