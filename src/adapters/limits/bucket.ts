const minuteMs = 60_000

/**
 * What is left of a limit per minute. Refills evenly, so that a minute's worth comes back over a minute; holds at most
 * one minute's worth. May go below zero where more was used than was held: that is paid back first.
 */
export class Bucket {
  limit: number
  #level: number
  #atMs: number

  constructor(limit: number, nowMs: number) {
    this.limit = limit
    this.#level = limit
    this.#atMs = nowMs
  }

  level(nowMs: number): number {
    if (nowMs > this.#atMs) {
      this.#level = Math.min(this.limit, this.#level + (this.limit * (nowMs - this.#atMs)) / minuteMs)
      this.#atMs = nowMs
    }
    return this.#level
  }

  /** Would `amount` fit? More than a whole minute's worth fits when all of it is there. */
  fits(amount: number, nowMs: number): boolean {
    return this.level(nowMs) >= Math.min(amount, this.limit)
  }

  /** When `amount` will fit, ms from now. */
  waitMs(amount: number, nowMs: number): number {
    const missing = Math.min(amount, this.limit) - this.level(nowMs)
    return missing <= 0 ? 0 : (missing * minuteMs) / this.limit
  }

  /** Until it is full again, ms. */
  resetMs(nowMs: number): number {
    return ((this.limit - this.level(nowMs)) * minuteMs) / this.limit
  }

  take(amount: number, nowMs: number): void {
    this.#level = Math.min(this.limit, this.level(nowMs) - amount)
  }
}
