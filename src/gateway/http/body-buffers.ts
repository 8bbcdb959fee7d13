/**
 * How much of all bodies together is held in memory (P12), and which bodies are still being read, so that slow ones
 * end at an absolute time (P10).
 */
export class BodyBuffers {
  #bytesMax: number
  #bodyMs: number
  readonly #reading = new Map<object, { readonly dueMs: number; readonly tooSlow: () => void }>()
  readonly #nowMs: () => number
  #bytes = 0

  constructor(bytesMax: number, bodyMs: number, nowMs: () => number) {
    this.#bytesMax = bytesMax
    this.#bodyMs = bodyMs
    this.#nowMs = nowMs
  }

  /** For bodies that begin from now on. */
  setLimits(bytesMax: number, bodyMs: number): void {
    this.#bytesMax = bytesMax
    this.#bodyMs = bodyMs
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Whether there is room now for so many bytes more. */
  fits(bytes: number): boolean {
    return this.#bytes + bytes <= this.#bytesMax
  }

  /** False where there is no room for so many bytes more. */
  take(bytes: number): boolean {
    if (!this.fits(bytes)) return false
    this.#bytes += bytes
    return true
  }

  give(bytes: number): void {
    this.#bytes -= bytes
  }

  reading(owner: object, tooSlow: () => void): void {
    this.#reading.set(owner, { dueMs: this.#nowMs() + this.#bodyMs, tooSlow })
  }

  finished(owner: object): void {
    this.#reading.delete(owner)
  }

  /** Called about once a second: one timer for all, none per request. */
  sweep(): void {
    const nowMs = this.#nowMs()
    // In order of arrival, so the first that is not due ends the search.
    for (const { dueMs, tooSlow } of this.#reading.values()) {
      if (dueMs > nowMs) return
      tooSlow()
    }
  }
}
