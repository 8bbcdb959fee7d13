import { type ClassAccount, type Flow, type FlowLine, flowComesBefore, type Ordered } from './fair-shares.ts'
import { IndexedHeap } from './indexed-heap.ts'

/** What the queue needs of a waiting request. */
export interface Waiter extends Ordered {
  readonly arrivedMs: number
  readonly waitUntilMs: number
}

/** Waiters of one class that may go to the same places. */
export interface Lane<W extends Waiter> {
  readonly account: ClassAccount
  readonly length: number
  add(waiter: W): void
  /** Gives false where it is not here. */
  remove(waiter: W): boolean
  /** The first of them whose wait is not over and that passes. */
  first(nowMs: number, passes: (waiter: W) => boolean): W | undefined
  /** The same where those behind the first may differ from it. */
  find(nowMs: number, passes: (waiter: W) => boolean): W | undefined
  hasComeBefore(ms: number): boolean
  /** Who is refused first where there is no room to wait: the last of the tenant with the longest line. */
  last(): W | undefined
}

/** First tries: what one may take, all behind it may. So only the first of them is asked whether it passes. */
export class FreshLane<W extends Waiter> implements Lane<W> {
  readonly account: ClassAccount
  readonly #heap = new IndexedHeap<Line<W>>()
  length = 0

  constructor(account: ClassAccount) {
    this.account = account
  }

  add(waiter: W): void {
    const { flow } = waiter
    const { waiters } = this.#lineOf(flow) ?? this.#open(flow)
    waiters.splice(placeOf(waiter, waiters, isSooner), 0, waiter)
    this.length++
    if (flow.waiting++ === 0) this.account.flowsWaiting++
  }

  remove(waiter: W): boolean {
    const { flow } = waiter
    const line = this.#lineOf(flow)
    if (line === undefined) return false
    const { waiters } = line
    if (waiters[0] === waiter) waiters.shift()
    else {
      const at = placeOf(waiter, waiters, isSooner)
      if (waiters[at] !== waiter) return false
      waiters.splice(at, 1)
    }
    if (waiters.length === 0) {
      this.#heap.remove(line)
      flow.lines.splice(flow.lines.indexOf(line), 1)
    }
    this.length--
    if (--flow.waiting === 0) this.account.flowsWaiting--
    return true
  }

  first(nowMs: number, passes: (waiter: W) => boolean): W | undefined {
    const first = this.#heap.first?.waiters[0]
    // Rare: some are about to be told that their wait is over.
    const inTime = first === undefined || first.waitUntilMs >= nowMs ? first : this.find(nowMs, () => true)
    return inTime !== undefined && passes(inTime) ? inTime : undefined
  }

  find(nowMs: number, passes: (waiter: W) => boolean): W | undefined {
    let best: Line<W> | undefined
    let found: W | undefined
    for (const line of this.#heap.items) {
      if (best !== undefined && !flowComesBefore(line.flow, best.flow)) continue
      const waiter = line.waiters.find((one) => one.waitUntilMs >= nowMs && passes(one))
      if (waiter === undefined) continue
      best = line
      found = waiter
    }
    return found
  }

  hasComeBefore(ms: number): boolean {
    return this.#heap.items.some(({ waiters }) => waiters.some(({ arrivedMs }) => arrivedMs <= ms))
  }

  last(): W | undefined {
    let longest: Line<W> | undefined
    for (const line of this.#heap.items)
      if (longest === undefined || line.flow.waiting > longest.flow.waiting) longest = line
    return longest?.waiters.at(-1)
  }

  #lineOf({ lines }: Flow): Line<W> | undefined {
    for (const line of lines) if ((line as Line<W>).lane === this) return line as Line<W>
    return undefined
  }

  #open(flow: Flow): Line<W> {
    const heap = this.#heap
    const { order, counter } = flow
    const line: Line<W> = {
      flow,
      lane: this,
      waiters: [],
      order,
      heapAt: -1,
      rekey: () => heap.rekey(line, flow.counter),
    }
    flow.lines.push(line)
    heap.add(line, counter)
    return line
  }
}

interface Line<W extends Waiter> extends FlowLine {
  readonly lane: FreshLane<W>
  /** The earliest deadline first. */
  readonly waiters: W[]
}

/** Those that have failed somewhere, each somewhere else, by arrival. */
export class RetryLane<W extends Waiter> implements Lane<W> {
  readonly account: ClassAccount
  readonly #waiters: W[] = []

  constructor(account: ClassAccount) {
    this.account = account
  }

  get length(): number {
    return this.#waiters.length
  }

  add(waiter: W): void {
    this.#waiters.splice(placeOf(waiter, this.#waiters, isOlder), 0, waiter)
  }

  remove(waiter: W): boolean {
    const at = placeOf(waiter, this.#waiters, isOlder)
    if (this.#waiters[at] !== waiter) return false
    this.#waiters.splice(at, 1)
    return true
  }

  first(nowMs: number, passes: (waiter: W) => boolean): W | undefined {
    return this.find(nowMs, passes)
  }

  find(nowMs: number, passes: (waiter: W) => boolean): W | undefined {
    return this.#waiters.find((waiter) => waiter.waitUntilMs >= nowMs && passes(waiter))
  }

  hasComeBefore(ms: number): boolean {
    const [oldest] = this.#waiters
    return oldest !== undefined && oldest.arrivedMs <= ms
  }

  last(): W | undefined {
    return this.#waiters.at(-1)
  }
}

function isSooner(a: Waiter, b: Waiter): boolean {
  return a.deadlineMs !== b.deadlineMs ? a.deadlineMs < b.deadlineMs : a.sequence < b.sequence
}

function isOlder(a: Waiter, b: Waiter): boolean {
  return a.sequence < b.sequence
}

/** Where one stands, or would stand, in a sorted list. */
function placeOf<W>(waiter: W, waiters: readonly W[], before: (a: W, b: W) => boolean): number {
  let from = 0
  let to = waiters.length
  // Most come last and leave first.
  if (to === 0 || before(waiters[to - 1] as W, waiter)) return to
  if (!before(waiters[0] as W, waiter)) return 0
  while (from < to) {
    const middle = (from + to) >> 1
    if (before(waiters[middle] as W, waiter)) from = middle + 1
    else to = middle
  }
  return from
}
