import type { ClassAccount, FairShares } from './fair-shares.ts'
import type { Eligibility } from './request.ts'
import { FreshLane, type Lane, RetryLane, type Waiter as Standing } from './wait-lane.ts'

/** What the queue needs of a waiting request. */
export interface Waiter extends Standing {
  readonly eligible: Eligibility
}

/** Of those who have failed somewhere, each somewhere else, so many of a lane are looked at where none can be helped. */
const retriesLookedAt = 4

/** Waiters with the same eligibility. */
interface Group<W extends Waiter> {
  readonly eligible: Eligibility
  /** They have failed somewhere, each somewhere else; else what one may take, all behind it may. */
  readonly retrying: boolean
  /** One for each class of which somebody waits. */
  readonly lanes: Lane<W>[]
}

/**
 * The requests of one model that wait for room. Grouped by eligibility, which is interned, so that room at one
 * endpoint looks at a few heads and not at every waiter, and nobody waits behind one who could not go anyway. Who comes
 * first among the heads is for `FairShares` to say.
 */
export class WaitQueue<W extends Waiter> {
  readonly #shares: FairShares
  readonly #fresh = new Map<Eligibility, Group<W>>()
  readonly #retrying = new Map<Eligibility, Group<W>>()
  readonly #kinds = [this.#fresh, this.#retrying]
  #length = 0
  #retryingLength = 0

  constructor(shares: FairShares) {
    this.#shares = shares
  }

  get length(): number {
    return this.#length
  }

  /** Of them, those that have been tried. */
  get retryingLength(): number {
    return this.#retryingLength
  }

  add(waiter: W, nowMs: number): void {
    const retrying = waiter.tries > 0
    const groups = retrying ? this.#retrying : this.#fresh
    let group = groups.get(waiter.eligible)
    if (group === undefined) {
      group = { eligible: waiter.eligible, retrying, lanes: [] }
      groups.set(waiter.eligible, group)
    }
    const { account } = waiter.flow
    let lane = laneOf(group, account)
    if (lane === undefined) {
      lane = retrying ? new RetryLane(account) : new FreshLane(account)
      group.lanes.push(lane)
    }
    lane.add(waiter)
    account.waits(nowMs)
    this.#length++
    if (retrying) this.#retryingLength++
  }

  /** Must be called before the waiter's eligibility, or its count of tries, changes. */
  remove(waiter: W): void {
    const groups = waiter.tries > 0 ? this.#retrying : this.#fresh
    const group = groups.get(waiter.eligible)
    const { account } = waiter.flow
    const lane = group === undefined ? undefined : laneOf(group, account)
    if (group === undefined || lane === undefined || !lane.remove(waiter)) return
    account.waitsNoMore()
    this.#length--
    if (group.retrying) this.#retryingLength--
    if (lane.length === 0) group.lanes.splice(group.lanes.indexOf(lane), 1)
    if (group.lanes.length === 0) groups.delete(group.eligible)
  }

  /**
   * The first in order whose wait is not over and that passes. `groupPasses` is asked once for each group; `passes` for
   * the head of a lane, and for those behind it only where they may differ from it.
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
        for (const lane of group.lanes) {
          if (best !== undefined && this.#shares.compareClasses(best.flow.account, lane.account) < 0) continue
          const candidate = lane.first(nowMs, passes)
          if (candidate === undefined || (best !== undefined && !this.#shares.comesBefore(candidate, best))) continue
          best = candidate
        }
      }
    }
    return best
  }

  /**
   * Those of the groups that pass who pass themselves, in order, whose wait is not over. Goes on behind one as long as it is taken out of the
   * queue meanwhile; behind one that stays only where others may differ from it, and there a few.
   */
  *inOrder(
    nowMs: number,
    groupPasses: (eligible: Eligibility, retrying: boolean) => boolean,
    passes: (waiter: W) => boolean = () => true,
  ): Generator<W> {
    const lanes: { readonly lane: Lane<W>; stayed: number; readonly staysMax: number }[] = []
    for (const groups of this.#kinds) {
      for (const group of groups.values()) {
        if (!groupPasses(group.eligible, group.retrying)) continue
        const staysMax = group.retrying ? retriesLookedAt : 1
        for (const lane of group.lanes) lanes.push({ lane, stayed: 0, staysMax })
      }
    }
    const seen = new Set<W>()
    const isNext = (waiter: W) => !seen.has(waiter) && passes(waiter)
    for (;;) {
      let next: W | undefined
      let from: (typeof lanes)[number] | undefined
      for (const one of lanes) {
        const waiter = one.stayed < one.staysMax ? one.lane.find(nowMs, isNext) : undefined
        if (waiter === undefined || (next !== undefined && !this.#shares.comesBefore(waiter, next))) continue
        next = waiter
        from = one
      }
      if (next === undefined || from === undefined) return
      const { length } = from.lane
      seen.add(next)
      yield next
      if (from.lane.length === length) from.stayed++
    }
  }

  /** Does somebody of the groups that pass wait who came at this time or before? */
  hasComeBefore(ms: number, groupPasses: (eligible: Eligibility, retrying: boolean) => boolean): boolean {
    for (const groups of this.#kinds)
      for (const { eligible, retrying, lanes } of groups.values())
        if (groupPasses(eligible, retrying) && lanes.some((lane) => lane.hasComeBefore(ms))) return true
    return false
  }

  /**
   * Who is refused when there is no room left to wait in: of the lowest priority the tenant with the longest line, and
   * of it the newest; a retry only where nobody else of that priority waits.
   */
  last(): W | undefined {
    const { accounts } = this.#shares
    for (let at = accounts.length - 1; at >= 0; at--) {
      const account = accounts[at] as ClassAccount
      if (account.waiting === 0) continue
      return this.#lastOf(account, this.#fresh) ?? this.#lastOf(account, this.#retrying)
    }
    return undefined
  }

  /** Waiters of this class that may go to the same places as one of this word, retries apart. */
  lengthOf(eligible: Eligibility, account: ClassAccount): number {
    const group = this.#fresh.get(eligible)
    return (group === undefined ? undefined : laneOf(group, account))?.length ?? 0
  }

  /** The same for all classes of larger priority. */
  lengthAbove(eligible: Eligibility, priority: number): number {
    return this.#sum(eligible, (each) => each > priority)
  }

  /** And for those of equal priority too. */
  lengthFrom(eligible: Eligibility, priority: number): number {
    return this.#sum(eligible, (each) => each >= priority)
  }

  #sum(eligible: Eligibility, counts: (priority: number) => boolean): number {
    let length = 0
    for (const lane of this.#fresh.get(eligible)?.lanes ?? []) if (counts(lane.account.priority)) length += lane.length
    return length
  }

  #lastOf(account: ClassAccount, groups: ReadonlyMap<Eligibility, Group<W>>): W | undefined {
    let last: W | undefined
    for (const group of groups.values()) {
      const waiter = laneOf(group, account)?.last()
      if (waiter === undefined) continue
      const longer = last === undefined ? 1 : waiter.flow.waiting - last.flow.waiting
      if (last === undefined || longer > 0 || (longer === 0 && waiter.sequence > last.sequence)) last = waiter
    }
    return last
  }
}

function laneOf<W extends Waiter>({ lanes }: Group<W>, account: ClassAccount): Lane<W> | undefined {
  for (const lane of lanes) if (lane.account === account) return lane
  return undefined
}
