import type { Endpoint } from '../../src/core/endpoint.ts'

/** One vendor's place in one country, as the witness keeps its record: by the rules of promise P06. */
export class Place {
  endpoint: Endpoint
  inFlight = 0
  /** Attempts in flight that were dispatched while it was thought bad. */
  trials = 0
  heldUntilMs = Number.NEGATIVE_INFINITY
  down = false
  ejected = false
  ejectedAtMs = Number.NEGATIVE_INFINITY
  ejectedUntilMs = Number.NEGATIVE_INFINITY
  failuresInRow = 0
  cutsInRow = 0
  #ejections = 0

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint
  }

  /** Since then time alone changes what it may be given. */
  get wasEjected(): boolean {
    return this.#ejections > 0
  }

  get wasHeld(): boolean {
    return this.heldUntilMs > Number.NEGATIVE_INFINITY
  }

  get isOpen(): boolean {
    return !this.down && !this.ejected
  }

  isFree(nowMs: number): boolean {
    return this.inFlight < this.endpoint.concurrencyMax && this.heldUntilMs <= nowMs
  }

  /** The vendor's Retry-After; a second where it does not say how long. */
  hold(forMs: number, nowMs: number): void {
    this.heldUntilMs = Math.max(this.heldUntilMs, nowMs + forMs)
  }

  /** Counts a failure, or an answer that broke. Gives true where it ejects: the fifth in a row, or a trial's after its time. */
  failed(startedMs: number, answering: boolean, nowMs: number): boolean {
    if (answering) this.cutsInRow++
    else this.failuresInRow++
    if (this.ejected) return startedMs >= this.ejectedAtMs && nowMs >= this.ejectedUntilMs
    return this.failuresInRow >= 5 || this.cutsInRow >= 5
  }

  /** 30 s times the ejections so far, 300 s at the most; ten minutes without one wipe the slate. */
  eject(nowMs: number): void {
    if (nowMs - this.ejectedAtMs > 600_000) this.#ejections = 0
    this.#ejections++
    this.ejected = true
    this.ejectedAtMs = nowMs
    this.ejectedUntilMs = nowMs + Math.min(300_000, 30_000 * this.#ejections)
  }
}
