const buckets = 10
const bucketMs = 1_000
/** Retries may be a fifth of the first tries of the last ten seconds, and three more (promise P07). */
const share = 0.2
const spare = 3

/**
 * Bounds retries to a share of the traffic, so that a failing vendor is not asked twice as often for failing. Counts
 * in ten one-second buckets; the oldest falls out as time goes on.
 */
export class RetryBudget {
  readonly #firsts = new Float64Array(buckets)
  readonly #retries = new Float64Array(buckets)
  #firstsSum = 0
  #retriesSum = 0
  #second = Number.NEGATIVE_INFINITY

  first(nowMs: number): void {
    const bucket = this.#roll(nowMs)
    this.#firsts[bucket] = (this.#firsts[bucket] as number) + 1
    this.#firstsSum++
  }

  canRetry(nowMs: number): boolean {
    this.#roll(nowMs)
    return this.#retriesSum + 1 <= share * this.#firstsSum + spare
  }

  retry(nowMs: number): void {
    const bucket = this.#roll(nowMs)
    this.#retries[bucket] = (this.#retries[bucket] as number) + 1
    this.#retriesSum++
  }

  #roll(nowMs: number): number {
    const second = Math.floor(nowMs / bucketMs)
    const passed = second - this.#second
    if (passed > 0) {
      for (let i = 0; i < Math.min(passed, buckets); i++) {
        const bucket = modulo(second - i, buckets)
        this.#firstsSum -= this.#firsts[bucket] as number
        this.#retriesSum -= this.#retries[bucket] as number
        this.#firsts[bucket] = 0
        this.#retries[bucket] = 0
      }
      this.#second = second
    }
    return modulo(second, buckets)
  }
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by
}
