import type { EndpointState } from './endpoint-state.ts'
import { IndexSet } from './index-set.ts'
import { rendezvousWeight } from './rendezvous.ts'
import { type Eligibility, eligibilityOf, isEligible } from './request.ts'

/** Up to so many endpoints, everything that is asked of them is answered by looking at each: some 10 µs for all. */
export const lookedAtMax = 512
/** Of bad places so many are looked at for one of which something may be hoped. */
const badLookedAt = 64
/** Every affinity has two places where it is at home, so that neither is flooded (DualMap, ICLR 2026). */
const homeSalts = [0x243f6a88, 0x85a308d3] as const

/**
 * The endpoints of a model that has more of them than can be looked at for each request: how each stands, as bits that
 * change when it does. What time alone changes is seen at the next event at the place, or at `noteAll`.
 */
export class Crowd {
  readonly #states: readonly EndpointState[]
  readonly #byIndex: readonly EndpointState[]
  readonly #all: Eligibility
  readonly #good: IndexSet
  /** Good, and a slot is free. */
  readonly #roomy: IndexSet
  /** Not good, and a slot is free. */
  readonly #spare: IndexSet
  /** Ejected, and a request is to find out whether it is good again. */
  readonly #due: IndexSet
  /** All of them by the hash of their ids, ascending, and their indices in this order: a consistent-hashing ring. */
  readonly #ring: Uint32Array
  readonly #ringIndices: Int32Array

  /** `states`: of the model; `byIndex`: of all models. */
  constructor(states: readonly EndpointState[], byIndex: readonly EndpointState[]) {
    this.#states = states
    this.#byIndex = byIndex
    this.#all = eligibilityOf(
      states.map(({ endpoint }) => endpoint.index),
      byIndex.length,
      0,
    )
    this.#good = new IndexSet(byIndex.length)
    this.#roomy = new IndexSet(byIndex.length)
    this.#spare = new IndexSet(byIndex.length)
    this.#due = new IndexSet(byIndex.length)
    const ring = states
      .map(({ hash, endpoint }) => ({ hash: hash >>> 0, index: endpoint.index }))
      .sort((a, b) => a.hash - b.hash || a.index - b.index)
    this.#ring = Uint32Array.from(ring, ({ hash }) => hash)
    this.#ringIndices = Int32Array.from(ring, ({ index }) => index)
  }

  /** Something happened at this place. */
  note(state: EndpointState, isGood: boolean, nowMs: number): void {
    const { index } = state.endpoint
    const isFree = state.isFree(nowMs)
    this.#good.set(index, isGood)
    this.#roomy.set(index, isGood && isFree)
    this.#spare.set(index, !isGood && isFree)
    this.#due.set(index, !isGood && state.isTrialDue(false, nowMs))
  }

  noteAll(isGood: (state: EndpointState) => boolean, nowMs: number): void {
    for (const state of this.#states) this.note(state, isGood(state), nowMs)
  }

  hasRoom(index: number): boolean {
    return this.#roomy.has(index)
  }

  /** Good ones with room, from this index on and around. */
  roomy(eligible: Eligibility, from: number): Generator<EndpointState> {
    return this.#around(this.#roomy, eligible, from, Number.POSITIVE_INFINITY)
  }

  /** A few bad ones with room. */
  spare(eligible: Eligibility, from: number): Generator<EndpointState> {
    return this.#around(this.#spare, eligible, from, badLookedAt)
  }

  good(eligible: Eligibility): Generator<EndpointState> {
    return this.#around(this.#good, eligible, 0, Number.POSITIVE_INFINITY)
  }

  /** All with room, good ones first. */
  *everyRoomy(): Generator<EndpointState> {
    yield* this.roomy(this.#all, 0)
    yield* this.#around(this.#spare, this.#all, 0, Number.POSITIVE_INFINITY)
  }

  /** One that waits to be tried out. */
  due(eligible: Eligibility, nowMs: number): EndpointState | undefined {
    if (this.#due.size === 0) return undefined
    for (const state of this.#around(this.#due, eligible, 0, badLookedAt))
      if (state.isTrialDue(false, nowMs)) return state
    return undefined
  }

  /** Where requests of this affinity are at home: two places, or twice the same. */
  homes(affinityHash: number, eligible: Eligibility): readonly [EndpointState, EndpointState] {
    const [one, other] = homeSalts
    return [this.#home(affinityHash, one, eligible), this.#home(affinityHash, other, eligible)]
  }

  /** The next eligible place on the ring. A place that goes moves only those that were at home there. */
  #home(affinityHash: number, salt: number, eligible: Eligibility): EndpointState {
    const ring = this.#ring
    const point = rendezvousWeight(affinityHash, salt)
    let from = 0
    let to = ring.length
    while (from < to) {
      const middle = (from + to) >> 1
      if ((ring[middle] as number) < point) from = middle + 1
      else to = middle
    }
    for (let step = 0; step < ring.length; step++) {
      const index = this.#ringIndices[(from + step) % ring.length] as number
      if (isEligible(eligible, index)) return this.#byIndex[index] as EndpointState
    }
    throw new Error('none of the eligible places is one of the model')
  }

  /** Members of a set, from one index on and around, so many at the most. Stays right while they come and go. */
  *#around(set: IndexSet, eligible: Eligibility, from: number, max: number): Generator<EndpointState> {
    let left = max
    for (let at = set.next(eligible, from); at >= 0 && left > 0; at = set.next(eligible, at + 1), left--)
      yield this.#byIndex[at] as EndpointState
    for (let at = set.next(eligible, 0); at >= 0 && at < from && left > 0; at = set.next(eligible, at + 1), left--)
      yield this.#byIndex[at] as EndpointState
  }
}
