import { Comparison } from './comparison.ts'
import type { EndpointState } from './endpoint-state.ts'
import type { Model } from './model.ts'
import type { OpenRequest } from './open-request.ts'
import { rendezvousWeight } from './rendezvous.ts'

/** A path that carries nothing is cold when it is needed: each gets one request in a hundred, all together one in twenty. */
const warmEvery = 100
const warmTogether = 20
/** More than any price: in US dollars for a million tokens. */
const warmFirst = 1e9
const spillsLast = 1e6
const unpriced = 1e5
/** Places of one price: the less saturated of them, by less than any two prices differ. */
const tieBreak = 1e-6
/** A conversation stays where it is at home while the first token there is later by no more than half of what is left. */
const firstTokenGoalMs = 2_000
const patientShare = 0.5

/**
 * The cheapest place that is not spilling over; where all are, the cheapest that has room. A place whose turn has come
 * to be kept warm goes first. Of several of one price, a conversation keeps to one.
 */
export function cheapestThatHolds(model: Model, request: OpenRequest, nowMs: number): EndpointState | undefined {
  const { affinityHash, failedAt } = request
  const homing = affinityHash !== undefined && failedAt.length === 0
  const comparison = new Comparison(model, request, nowMs)
  let home: EndpointState | undefined
  let homeTier = Number.NEGATIVE_INFINITY
  let homeWeight = -1
  const turnMax = model.dispatched - turnsUntilCold(model)
  const trial = comparison.offerAll((state) => {
    const saturation = state.saturation(nowMs)
    state.noteSpilling(saturation)
    const tier = tierOf(state, saturation, request.tries === 0 ? turnMax : Number.NEGATIVE_INFINITY)
    if (homing && tier >= homeTier) {
      const weight = rendezvousWeight(affinityHash, state.hash)
      if (tier > homeTier || weight > homeWeight) {
        home = state
        homeTier = tier
        homeWeight = weight
      }
    }
    return tier - tieBreak * saturation
  }, true)
  const { best } = comparison
  if (trial !== undefined || best === undefined || home === undefined) return trial ?? best
  const leftMs = Math.max(0, firstTokenGoalMs - (nowMs - request.arrivedMs))
  return home.firstTokenMs(nowMs) - best.firstTokenMs(nowMs) <= patientShare * leftMs ? home : best
}

/** How a place stands among all, as far as its price and its turn say; the larger is taken first. */
export function preferenceOf(model: Model, state: EndpointState, nowMs: number): number {
  return tierOf(state, state.saturation(nowMs), model.dispatched - turnsUntilCold(model))
}

/** First what is to be kept warm, its last turn being no later than `turnMax`; then by price what holds, then the rest. */
function tierOf(state: EndpointState, saturation: number, turnMax: number): number {
  const usd = Math.min(unpriced, state.mixedUsd)
  if (state.isSpilling(saturation)) return -spillsLast - usd
  return state.turn <= turnMax ? warmFirst - usd : -usd
}

function turnsUntilCold({ states }: Model): number {
  return Math.max(warmEvery, warmTogether * states.length)
}
