import { Comparison, doubts, hasRoomFor, hasTokens, isBelowCeiling, mayTryOut } from './comparison.ts'
import { type Crowd, lookedAtMax } from './crowd.ts'
import type { EndpointState } from './endpoint-state.ts'
import type { Model } from './model.ts'
import type { OpenRequest } from './open-request.ts'
import { type RoutingPolicy, rate, type Weights } from './policies/policy.ts'
import { readingCost } from './reading.ts'
import { rendezvousWeight } from './rendezvous.ts'
import { type Eligibility, isEligible, type PromptPrefix } from './request.ts'
import { cheapestThatHolds } from './spill-over.ts'

/** More than all ratings of a place together: what a retry looks for comes before what is fast, idle or cheap. */
const decisive = 1_000

/** The place for a request of this model at this moment, or undefined where it has to wait. */
export function choose(model: Model, request: OpenRequest, nowMs: number): EndpointState | undefined {
  const { policy } = model
  const chosen = chosenBy(policy, model, request, nowMs)
  return chosen ?? (model.isCornered(request) ? leastBad(model, request, nowMs) : undefined)
}

function chosenBy(policy: RoutingPolicy, model: Model, request: OpenRequest, nowMs: number): EndpointState | undefined {
  switch (policy.kind) {
    case 'best':
      return best(model, request, policy.weights, nowMs)
    case 'spill-over':
      return cheapestThatHolds(model, request, nowMs)
    case 'in-order':
      return firstInOrder(model, request, nowMs)
  }
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
  const { prefix } = request.facts
  if (prefix !== undefined && weights.samePlace > 0) return leastToRead(model, request, prefix, nowMs)
  if (crowd !== undefined && isDrawnFrom(request.eligible, weights))
    return bestOfFew(model, crowd, request, weights, nowMs)
  const { affinityHash, failedAt } = request
  const { indices } = request.eligible
  const { length } = indices
  const homing = affinityHash !== undefined && weights.samePlace > 0
  const tries = mayTryOut(model, request, nowMs)
  const hasCeiling = request.saturationMax < Number.POSITIVE_INFINITY
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
    if ((state.quota !== undefined || hasCeiling) && !hasRoomFor(model, request, state, nowMs)) continue
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

/** Are these so many that a few are drawn? Not by price: there is one order of all, which a sample does not know. */
export function isDrawnFrom({ indices }: Eligibility, { lowPrice }: Weights): boolean {
  return indices.length > lookedAtMax && lowPrice === 0
}

/** Of very many: the best of a few at random and of the two where its affinity is at home. */
function bestOfFew(
  model: Model,
  crowd: Crowd,
  request: OpenRequest,
  weights: Weights,
  nowMs: number,
): EndpointState | undefined {
  const { affinityHash, eligible } = request
  const comparison = new Comparison(model, request, nowMs)
  const trial = comparison.offerAll((state) => rate(state, weights, nowMs))
  if (trial !== undefined) return trial
  if (affinityHash !== undefined && weights.samePlace > 0)
    for (const home of crowd.homes(affinityHash, eligible))
      comparison.offer(home, (state) => rate(state, weights, nowMs) + weights.samePlace)
  return comparison.best
}

/** Where reading the prompt costs least, with what each place has likely in its cache of it. */
function leastToRead(
  model: Model,
  request: OpenRequest,
  prefix: PromptPrefix,
  nowMs: number,
): EndpointState | undefined {
  const { input } = request.facts.tokens
  const comparison = new Comparison(model, request, nowMs)
  const cost = (state: EndpointState, known: number) =>
    readingCost(state, model.reading, model.states.length, Math.max(0, input - known), nowMs)
  const trial = comparison.offerAll((state) => -cost(state, 0))
  if (trial !== undefined) return trial
  for (const { state, tokens } of model.prefixes.warmest(prefix))
    if (model.fleet.isPresent(state) && isEligible(request.eligible, state.endpoint.index))
      comparison.offer(state, (warm) => -cost(warm, tokens))
  return comparison.best
}

function firstInOrder(model: Model, request: OpenRequest, nowMs: number): EndpointState | undefined {
  for (const index of request.eligible.indices) {
    const state = model.fleet.at(index)
    if (isPassedOver(model, request, state, nowMs)) continue
    return state.inFlight < state.slots(nowMs) && isBelowCeiling(request, state, nowMs) ? state : undefined
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
    if (!hasRoomFor(model, request, state, nowMs)) continue
    const dueMs = state.down ? Number.MAX_VALUE : state.ejectedUntilMs
    if (dueMs < bestDueMs) {
      best = state
      bestDueMs = dueMs
    }
  }
  return best
}
