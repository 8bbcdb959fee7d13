import { SlotSet, type Slotted } from '../../core/slot-set.ts'

export interface BodyBeingRead extends Slotted {
  /** When all of it has to be there; set by `BodyBuffers`. */
  dueMs: number
  tooSlow(): void
}

/**
 * How much of all bodies together is held in memory (P12), and which bodies are still being read, so that slow ones
 * end at an absolute time (P10).
 */
export class BodyBuffers {
  #bytesMax: number
  #bodyMs: number
  readonly #reading = new SlotSet<BodyBeingRead>()
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

  reading(body: BodyBeingRead): void {
    body.dueMs = this.#nowMs() + this.#bodyMs
    this.#reading.add(body)
  }

  finished(body: BodyBeingRead): void {
    this.#reading.delete(body)
  }

  /** Called about once a second: one timer for all, none per request. */
  sweep(): void {
    const nowMs = this.#nowMs()
    for (const body of this.#reading.values()) if (body.slot >= 0 && body.dueMs <= nowMs) body.tooSlow()
  }
}
