const bucketMs = 1_000
/** Retries may be a fifth of the first tries of the last ten seconds, and three more (promise P07). */
const windowBuckets = 10
const share = 0.2
const spare = 3

/**
 * Bounds the retries of one model to a share of its traffic, so that a failing vendor is not asked twice as often for
 * failing. One model's trouble takes nothing from another's.
 */
export class RetryBudget {
  // Counted by the second, ten seconds are somewhere between: retries are kept a little longer, first tries a little
  // shorter, so that the bound holds for every ten seconds.
  readonly #firsts = new RecentCount(windowBuckets)
  readonly #retries = new RecentCount(windowBuckets + 1)

  canRetry(nowMs: number): boolean {
    const allowed = share * this.#firsts.sum(nowMs)
    if (this.#retries.sum(nowMs) + 1 > allowed + spare) return false
    // Ten seconds' retries all at once are a storm too. With so little traffic that the free ones are more than a fifth
    // of a second's first tries, they are the bound.
    if (allowed < windowBuckets * spare) return true
    return this.#retries.latest(nowMs) + 1 <= share * this.#firsts.latest(nowMs)
  }

  made(kind: TryKind, nowMs: number): void {
    this.#countOf(kind).add(1, nowMs, nowMs)
  }

  /** A try that was counted when it was dispatched has not been made. */
  unmade(kind: TryKind, dispatchedMs: number, nowMs: number): void {
    this.#countOf(kind).add(-1, dispatchedMs, nowMs)
  }

  #countOf(kind: TryKind): RecentCount {
    return kind === 'first' ? this.#firsts : this.#retries
  }
}

export type TryKind = 'first' | 'retry'

/** What happened in the last so many seconds, the running one included; the oldest falls out as time goes on. */
class RecentCount {
  readonly #buckets: Float64Array
  #sum = 0
  #second = Number.NEGATIVE_INFINITY

  constructor(buckets: number) {
    this.#buckets = new Float64Array(buckets)
  }

  sum(nowMs: number): number {
    this.#roll(nowMs)
    return this.#sum
  }

  /** Of the running second alone. */
  latest(nowMs: number): number {
    this.#roll(nowMs)
    return this.#buckets[this.#bucketOf(this.#second)] as number
  }

  /** Counts for the moment `atMs`, which may have fallen out already. */
  add(count: number, atMs: number, nowMs: number): void {
    this.#roll(nowMs)
    const second = Math.floor(atMs / bucketMs)
    if (second <= this.#second - this.#buckets.length) return
    const bucket = this.#bucketOf(second)
    this.#buckets[bucket] = (this.#buckets[bucket] as number) + count
    this.#sum += count
  }

  #roll(nowMs: number): void {
    const second = Math.floor(nowMs / bucketMs)
    if (second <= this.#second) return
    const passed = Math.min(second - this.#second, this.#buckets.length)
    for (let i = 0; i < passed; i++) {
      const bucket = this.#bucketOf(second - i)
      this.#sum -= this.#buckets[bucket] as number
      this.#buckets[bucket] = 0
    }
    this.#second = second
  }

  #bucketOf(second: number): number {
    const { length } = this.#buckets
    return ((second % length) + length) % length
  }
}
