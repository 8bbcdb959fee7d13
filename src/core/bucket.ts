const minuteMs = 60_000

/**
 * What is left of a limit that refills evenly: by default a minute's worth comes back over a minute. Holds at most the
 * limit. May go below zero where more was used than was held: that is paid back first.
 */
export class Bucket {
  limit: number
  /** In which an empty one fills up. */
  fillMs = minuteMs
  #level: number
  #atMs: number

  constructor(limit: number, nowMs: number) {
    this.limit = limit
    this.#level = limit
    this.#atMs = nowMs
  }

  /** What is there now, or will be if nothing is taken until then. */
  level(nowMs: number): number {
    const level = nowMs > this.#atMs ? this.#level + (this.limit * (nowMs - this.#atMs)) / this.fillMs : this.#level
    return level < this.limit ? level : this.limit
  }

  /** Would `amount` fit? More than the whole limit fits when all of it is there. */
  fits(amount: number, nowMs: number): boolean {
    return this.level(nowMs) >= Math.min(amount, this.limit)
  }

  /** When `amount` will fit, ms from now. */
  waitMs(amount: number, nowMs: number): number {
    const missing = Math.min(amount, this.limit) - this.level(nowMs)
    return missing <= 0 ? 0 : (missing * this.fillMs) / this.limit
  }

  /** Until it is full again, ms. */
  resetMs(nowMs: number): number {
    return ((this.limit - this.level(nowMs)) * this.fillMs) / this.limit
  }

  take(amount: number, nowMs: number): void {
    this.set(this.level(nowMs) - amount, nowMs)
  }

  /** What is left stays left, up to the new limit. */
  resize(limit: number, nowMs: number): void {
    const level = this.level(nowMs)
    this.limit = limit
    this.set(level, nowMs)
  }

  /** Somebody who knows says what is there. */
  set(level: number, nowMs: number): void {
    this.#level = Math.min(this.limit, level)
    this.#atMs = Math.max(this.#atMs, nowMs)
  }
}
