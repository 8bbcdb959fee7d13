import { markWindowTokens as windowTokens } from '../adapters/storage/journal-record.ts'

/**
 * Keeps what is delivered behind what the journal has on disk. The try's own record stands for the first window; each
 * mark stands for one window above what was delivered when it was written, or for a piece of the answer that is larger
 * than that. A mark is asked for while half a window is left, so that a stream at any real pace never waits for one.
 */
export class MarkWindow {
  readonly #write: (outputTokens: number) => void
  #durable = windowTokens
  #asked = windowTokens
  #seen = 0
  #delivered = 0

  /** `write` must call `written` with the same number once it is on disk. */
  constructor(write: (outputTokens: number) => void) {
    this.#write = write
  }

  get tokensSeen(): number {
    return this.#seen
  }

  /** May an answer that has come to so many output tokens be delivered now? If not, wait for `written`. */
  covers(outputTokens: number): boolean {
    this.#seen = outputTokens
    if (outputTokens > this.#asked - windowTokens / 2) {
      this.#asked = Math.max(outputTokens, this.#delivered + windowTokens)
      this.#write(this.#asked)
    }
    const isCovered = outputTokens <= this.#durable
    if (isCovered) this.#delivered = outputTokens
    return isCovered
  }

  /** True where all that was counted is covered now: what waited is to be delivered. */
  written(outputTokens: number): boolean {
    this.#durable = Math.max(this.#durable, outputTokens)
    if (this.#seen > this.#durable) return false
    this.#delivered = this.#seen
    return true
  }
}
