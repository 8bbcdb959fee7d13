import { comesBefore } from './open-request.ts'
import type { Eligibility } from './request.ts'

/** What the queue needs of a waiting request. */
export interface Waiter {
  readonly priority: number
  /** Order of arrival in this scheduler. */
  readonly sequence: number
  readonly arrivedMs: number
  readonly waitUntilMs: number
  readonly eligible: Eligibility
  /** Tries made: one that has failed somewhere cannot go everywhere that the others of its group can. */
  readonly tries: number
}

/** Of those who have failed somewhere, each somewhere else, so many of a lane are looked at where none can be helped. */
const retriesLookedAt = 4

/** Waiters with the same eligibility. */
interface Group<W> {
  readonly eligible: Eligibility
  /** They have failed somewhere, each somewhere else; else what one may take, all behind it may. */
  readonly retrying: boolean
  /** Highest priority first, each in order of arrival. */
  readonly lanes: { readonly priority: number; readonly waiters: W[] }[]
}

/**
 * The requests of one model that wait for room. Grouped by eligibility, which is interned, so that room at one
 * endpoint looks at a few heads and not at every waiter, and nobody waits behind one who could not go anyway.
 */
export class WaitQueue<W extends Waiter> {
  readonly #fresh = new Map<Eligibility, Group<W>>()
  readonly #retrying = new Map<Eligibility, Group<W>>()
  readonly #kinds = [this.#fresh, this.#retrying]
  #length = 0
  #retryingLength = 0

  get length(): number {
    return this.#length
  }

  /** Of them, those that have been tried. */
  get retryingLength(): number {
    return this.#retryingLength
  }

  /** Keeps the order of arrival also for one that comes back. */
  add(waiter: W): void {
    const retrying = waiter.tries > 0
    const groups = retrying ? this.#retrying : this.#fresh
    let group = groups.get(waiter.eligible)
    if (group === undefined) {
      group = { eligible: waiter.eligible, retrying, lanes: [] }
      groups.set(waiter.eligible, group)
    }
    let lane = group.lanes.find(({ priority }) => priority === waiter.priority)
    if (lane === undefined) {
      lane = { priority: waiter.priority, waiters: [] }
      group.lanes.push(lane)
      group.lanes.sort((a, b) => b.priority - a.priority)
    }
    lane.waiters.splice(placeOf(waiter.sequence, lane.waiters), 0, waiter)
    this.#length++
    if (retrying) this.#retryingLength++
  }

  /** Must be called before the waiter's eligibility, or its count of tries, changes. */
  remove(waiter: W): void {
    const groups = waiter.tries > 0 ? this.#retrying : this.#fresh
    const group = groups.get(waiter.eligible)
    const lane = group?.lanes.find(({ priority }) => priority === waiter.priority)
    if (group === undefined || lane === undefined) return
    const at = placeOf(waiter.sequence, lane.waiters)
    if (lane.waiters[at] !== waiter) return
    lane.waiters.splice(at, 1)
    this.#length--
    if (group.retrying) this.#retryingLength--
    if (lane.waiters.length === 0) group.lanes.splice(group.lanes.indexOf(lane), 1)
    if (group.lanes.length === 0) groups.delete(group.eligible)
  }

  /**
   * The first in order (priority, then arrival) whose wait is not over and that passes. `groupPasses` is asked once for
   * each group; `passes` for the head of a lane, and for those behind it only where they may differ from it.
   */
  first(
    nowMs: number,
    groupPasses: (eligible: Eligibility, retrying: boolean) => boolean,
    passes: (waiter: W) => boolean,
  ): W | undefined {
    let best: W | undefined
    for (const groups of this.#kinds) {
      for (const group of groups.values()) {
        if (!groupPasses(group.eligible, group.retrying)) continue
        for (const { priority, waiters } of group.lanes) {
          if (best !== undefined && priority < best.priority) break
          const inTime = (waiter: W) => waiter.waitUntilMs >= nowMs
          const candidate = waiters.find(group.retrying ? (waiter) => inTime(waiter) && passes(waiter) : inTime)
          if (candidate === undefined || (!group.retrying && !passes(candidate))) continue
          if (best === undefined || priority > best.priority || candidate.sequence < best.sequence) best = candidate
          break
        }
      }
    }
    return best
  }

  /**
   * Those of the groups that pass, in order, whose wait is not over. Goes on behind one as long as it is taken out of the
   * queue meanwhile; behind one that stays only where others may differ from it, and there a few.
   */
  *inOrder(nowMs: number, groupPasses: (eligible: Eligibility, retrying: boolean) => boolean): Generator<W> {
    const lanes: { readonly waiters: readonly W[]; at: number; staysLeft: number }[] = []
    for (const groups of this.#kinds) {
      for (const group of groups.values()) {
        if (!groupPasses(group.eligible, group.retrying)) continue
        for (const { waiters } of group.lanes)
          lanes.push({ waiters, at: 0, staysLeft: group.retrying ? retriesLookedAt : 1 })
      }
    }
    for (;;) {
      let next: W | undefined
      let lane: (typeof lanes)[number] | undefined
      for (const one of lanes) {
        while (one.at < one.waiters.length && (one.waiters[one.at] as W).waitUntilMs < nowMs) one.at++
        const waiter = one.staysLeft > 0 ? one.waiters[one.at] : undefined
        if (waiter === undefined || (next !== undefined && !comesBefore(waiter, next))) continue
        next = waiter
        lane = one
      }
      if (next === undefined || lane === undefined) return
      yield next
      if (lane.waiters[lane.at] !== next) continue
      lane.at++
      lane.staysLeft--
    }
  }

  /** When the one that came first of all in the groups that pass has come; infinite where there is none. */
  oldestMs(groupPasses: (eligible: Eligibility, retrying: boolean) => boolean): number {
    let oldestMs = Number.POSITIVE_INFINITY
    for (const groups of this.#kinds) {
      for (const { eligible, retrying, lanes } of groups.values()) {
        if (!groupPasses(eligible, retrying)) continue
        for (const { waiters } of lanes) oldestMs = Math.min(oldestMs, (waiters[0] as W).arrivedMs)
      }
    }
    return oldestMs
  }

  /** The newest of the lowest priority: who is refused when there is no room left to wait in. */
  last(): W | undefined {
    let worst: W | undefined
    for (const groups of this.#kinds) {
      for (const { lanes } of groups.values()) {
        const newest = lanes.at(-1)?.waiters.at(-1)
        if (newest === undefined) continue
        if (worst === undefined || comesBefore(worst, newest)) worst = newest
      }
    }
    return worst
  }

  /** Waiters that would be served before one of this priority who came now. */
  ahead(priority: number): number {
    let count = 0
    for (const groups of this.#kinds)
      for (const { lanes } of groups.values())
        for (const lane of lanes) if (lane.priority >= priority) count += lane.waiters.length
    return count
  }
}

/** Where one of this sequence stands, or would stand, in a lane. */
function placeOf(sequence: number, waiters: readonly Waiter[]): number {
  let from = 0
  let to = waiters.length
  // Most come last and leave first.
  if (to === 0 || (waiters[to - 1] as Waiter).sequence < sequence) return to
  if ((waiters[0] as Waiter).sequence >= sequence) return 0
  while (from < to) {
    const middle = (from + to) >> 1
    if ((waiters[middle] as Waiter).sequence < sequence) from = middle + 1
    else to = middle
  }
  return from
}
