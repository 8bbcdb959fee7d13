/** Until requests have ended, a service is taken to last this long. */
const serviceMsDefault = 5_000
/** From so many on the times are taken for known. */
const seenMin = 16
const learning = 1 / 32

/** How long requests of one model take: means, mostly over the last 32. */
export class ServiceTimes {
  #firstTokenMs = 0
  #firstTokens = 0
  #serviceMs = serviceMsDefault
  #services = 0

  /** Have enough requests ended to say? */
  get isKnown(): boolean {
    return this.#services >= seenMin
  }

  /** From a dispatch to the first token, ms; 0 where only whole answers came. */
  get firstTokenMs(): number {
    return this.#firstTokenMs
  }

  /** From a dispatch to the end of the answer, ms. */
  get serviceMs(): number {
    return this.#serviceMs
  }

  answered(firstTokenMs: number): void {
    this.#firstTokens++
    this.#firstTokenMs += (firstTokenMs - this.#firstTokenMs) * Math.max(learning, 1 / this.#firstTokens)
  }

  served(durationMs: number): void {
    this.#services++
    this.#serviceMs += (durationMs - this.#serviceMs) * Math.max(learning, 1 / this.#services)
  }
}
