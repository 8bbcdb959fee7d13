import type { Eligibility } from './request.ts'

/** What the queue needs of a waiting request. */
export interface Waiter {
  readonly priority: number
  /** Order of arrival in this scheduler. */
  readonly sequence: number
  readonly eligible: Eligibility
  readonly deadlineMs: number
}

/** Waiters with the same eligibility, by priority, each in order of arrival. */
interface Group<W> {
  readonly eligible: Eligibility
  /** Highest priority first. */
  readonly lanes: { readonly priority: number; readonly waiters: W[] }[]
}

/**
 * The requests of one model that wait for room. Grouped by eligibility, which is interned, so that room at one
 * endpoint looks at a few heads and not at every waiter, and nobody waits behind one who could not go anyway.
 */
export class WaitQueue<W extends Waiter> {
  readonly #groups = new Map<Eligibility, Group<W>>()
  #length = 0

  get length(): number {
    return this.#length
  }

  /** Keeps the order of arrival also for one that comes back. */
  add(waiter: W): void {
    let group = this.#groups.get(waiter.eligible)
    if (group === undefined) {
      group = { eligible: waiter.eligible, lanes: [] }
      this.#groups.set(waiter.eligible, group)
    }
    let lane = group.lanes.find(({ priority }) => priority === waiter.priority)
    if (lane === undefined) {
      lane = { priority: waiter.priority, waiters: [] }
      group.lanes.push(lane)
      group.lanes.sort((a, b) => b.priority - a.priority)
    }
    const { waiters } = lane
    let at = waiters.length
    while (at > 0 && (waiters[at - 1] as W).sequence > waiter.sequence) at--
    waiters.splice(at, 0, waiter)
    this.#length++
  }

  /** Must be called before the waiter's eligibility is replaced. */
  remove(waiter: W): void {
    const group = this.#groups.get(waiter.eligible)
    const lane = group?.lanes.find(({ priority }) => priority === waiter.priority)
    const at = lane?.waiters.indexOf(waiter) ?? -1
    if (group === undefined || lane === undefined || at < 0) return
    lane.waiters.splice(at, 1)
    this.#length--
    if (lane.waiters.length === 0) group.lanes.splice(group.lanes.indexOf(lane), 1)
    if (group.lanes.length === 0) this.#groups.delete(group.eligible)
  }

  /**
   * The first in order (priority, then arrival) that passes. `groupPasses` is asked once for each eligibility, `passes`
   * for waiters from the head of a lane on until one does.
   */
  first(groupPasses: (eligible: Eligibility) => boolean, passes: (waiter: W) => boolean): W | undefined {
    let best: W | undefined
    for (const group of this.#groups.values()) {
      if (!groupPasses(group.eligible)) continue
      for (const lane of group.lanes) {
        if (best !== undefined && lane.priority < best.priority) break
        const head = lane.waiters.find(passes)
        if (head === undefined) continue
        if (best === undefined || head.priority > best.priority || head.sequence < best.sequence) best = head
        break
      }
    }
    return best
  }

  /** The newest of the lowest priority: who is refused when there is no room left to wait in. */
  last(): W | undefined {
    let worst: W | undefined
    for (const { lanes } of this.#groups.values()) {
      const newest = lanes.at(-1)?.waiters.at(-1)
      if (newest === undefined) continue
      if (
        worst === undefined ||
        newest.priority < worst.priority ||
        (newest.priority === worst.priority && newest.sequence > worst.sequence)
      )
        worst = newest
    }
    return worst
  }

  /** Waiters that would be served before one of this priority who came now. */
  ahead(priority: number): number {
    let count = 0
    for (const { lanes } of this.#groups.values())
      for (const lane of lanes) if (lane.priority >= priority) count += lane.waiters.length
    return count
  }

  *[Symbol.iterator](): IterableIterator<W> {
    for (const { lanes } of this.#groups.values()) for (const { waiters } of lanes) yield* waiters
  }
}
