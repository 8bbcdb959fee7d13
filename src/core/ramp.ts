import { Bucket } from './bucket.ts'

/** Above this growth in this time vendors of priority tiers take traffic for a burst, and serve it as standard. */
const growth = 1.4
const periodMs = 900_000
const minutes = 15

/**
 * How many tokens a minute may go to a tier whose vendor wants traffic to grow slowly: so many from the start, and above
 * that two fifths more than in the quarter of an hour before.
 */
export class RampLimit {
  /** Tokens a minute that the vendor takes without a ramp. */
  readonly from: number
  readonly #bucket: Bucket
  #used = 0
  #periodFromMs = Number.NaN

  constructor(from: number, nowMs: number) {
    this.from = from
    this.#bucket = new Bucket(from, nowMs)
  }

  fits(tokens: number, atMs: number): boolean {
    return this.#bucket.fits(tokens, atMs)
  }

  waitMs(tokens: number, nowMs: number): number {
    return this.#bucket.waitMs(tokens, nowMs)
  }

  /** The share of what may be sent now that has been: 0 none, 1 all. */
  used(nowMs: number): number {
    return 1 - this.#bucket.level(nowMs) / this.#bucket.limit
  }

  /** Tokens are sent; fewer than none where what was sent came to less than was charged. */
  take(tokens: number, nowMs: number): void {
    if (Number.isNaN(this.#periodFromMs)) this.#periodFromMs = nowMs
    const periods = Math.floor((nowMs - this.#periodFromMs) / periodMs)
    if (periods > 0) this.#next(periods, nowMs)
    this.#used += tokens
    this.#bucket.take(tokens, nowMs)
  }

  /** `periods` are over, of which only the first can have seen anything sent. */
  #next(periods: number, nowMs: number): void {
    // A full bucket lets a minute's worth more through: that is no growth to build on.
    const perMinute = Math.min(this.#bucket.limit, this.#used / minutes)
    this.#bucket.resize(periods === 1 ? Math.max(this.from, growth * perMinute) : this.from, nowMs)
    this.#used = 0
    this.#periodFromMs += periods * periodMs
  }
}
