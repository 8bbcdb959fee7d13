import { isDrawnFrom } from './choose.ts'
import type { EndpointSnapshot, EndpointState } from './endpoint-state.ts'
import type { Model } from './model.ts'
import { rate } from './policies/policy.ts'
import { hashText, rendezvousWeight } from './rendezvous.ts'
import type { Eligibility } from './request.ts'
import { preferenceOf } from './spill-over.ts'

/** What one candidate would mean for a request right now. */
export interface Candidate extends EndpointSnapshot {
  /** Why it would not be tried now; absent for those that would. */
  readonly removedBy?: string
  /** What its ratings add up to; absent where the listed order decides. */
  readonly score?: number
}

/** What a choice among the eligible endpoints of a model would see. Draws no random number and changes nothing. */
export function explainChoice(
  model: Model,
  eligible: Eligibility,
  affinity: string | undefined,
  nowMs: number,
): readonly Candidate[] {
  const { fleet, policy, crowd } = model
  if (!fleet.fits(eligible)) return []
  const states = [...eligible.indices].map((index) => fleet.at(index))
  if (policy.kind === 'in-order') return states.map((state) => candidateOf(model, state, nowMs))
  if (policy.kind === 'spill-over')
    return states.map((state) => ({ ...candidateOf(model, state, nowMs), score: preferenceOf(model, state, nowMs) }))
  const homes = (affinityHash: number) =>
    crowd !== undefined && isDrawnFrom(eligible, policy.weights)
      ? crowd.homes(affinityHash, eligible)
      : [home(model, states, affinityHash, nowMs)]
  const homed = affinity === undefined ? [] : homes(hashText(affinity))
  return states.map((state) => {
    const score = rate(state, policy.weights, nowMs) + (homed.includes(state) ? policy.weights.samePlace : 0)
    return { ...candidateOf(model, state, nowMs), score }
  })
}

function candidateOf(model: Model, state: EndpointState, nowMs: number): Candidate {
  const removedBy = reasonAgainst(model, state, nowMs)
  return { ...state.snapshot(nowMs), ...(removedBy !== undefined && { removedBy }) }
}

function reasonAgainst(model: Model, state: EndpointState, nowMs: number): string | undefined {
  const seconds = (untilMs: number) => `${Math.max(1, Math.ceil((untilMs - nowMs) / 1000))} s`
  if (state.heldUntilMs > nowMs) return `the vendor asked to be left alone for ${seconds(state.heldUntilMs)}`
  const quotaMs = state.quota?.waitMs(1, nowMs) ?? 0
  if (quotaMs > 0) return `the vendor's quota is used up for ${seconds(nowMs + quotaMs)}`
  const health = state.health(nowMs)
  if (health === 'down') return 'down: it cannot be reached'
  if (health === 'ejected' && !model.isGood(state)) return `ejected after failures for ${seconds(state.ejectedUntilMs)}`
  const slots = state.slots(nowMs)
  if (state.inFlight >= slots) return `full: ${state.inFlight} of ${slots} slots`
  return undefined
}

/** Where requests of this affinity go while it is as good as the others. */
function home(model: Model, states: readonly EndpointState[], affinityHash: number, nowMs: number) {
  let home: EndpointState | undefined
  let homeWeight = -1
  for (const state of states) {
    const weight = rendezvousWeight(affinityHash, state.hash)
    if (weight <= homeWeight || reasonAgainst(model, state, nowMs) !== undefined) continue
    home = state
    homeWeight = weight
  }
  return home
}
