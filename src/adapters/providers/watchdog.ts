import { SlotSet, type Slotted } from '../../core/slot-set.ts'

/** What may fall silent. */
export interface Watched extends Slotted {
  /** How long it may go without a sign of life, ms; changes as it moves from one phase to the next. */
  readonly silenceMsMax: number
  /** Set to 0 by the watched at each sign of life; the watchdog counts it up. */
  silentMs: number
  /** It has been silent for longer than it may; it is watched no more. */
  fellSilent(): void
}

/** Ticks are a quarter of the shortest limit, but not longer than this; nothing is given up later than two after its limit. */
const tickMsMax = 250

/**
 * Gives up what has been silent for too long: one timer for all, so that a sign of life costs one store. Time in which
 * the process itself stood still does not count as silence of others.
 */
export class Watchdog {
  readonly #tickMs: number
  readonly #watched = new SlotSet<Watched>()
  #timer: NodeJS.Timeout | undefined

  /** `shortestMs`: the smallest limit that is ever asked for. */
  constructor(shortestMs: number) {
    this.#tickMs = Math.max(1, Math.min(tickMsMax, Math.floor(shortestMs / 4)))
  }

  watch(watched: Watched): void {
    watched.silentMs = 0
    this.#watched.add(watched)
    this.#timer ??= setInterval(() => this.#tick(), this.#tickMs)
  }

  release(watched: Watched): void {
    this.#watched.delete(watched)
  }

  #tick(): void {
    if (this.#watched.size === 0) {
      clearInterval(this.#timer)
      this.#timer = undefined
      return
    }
    for (const watched of this.#watched.values()) {
      // Released by another that fell silent before it.
      if (watched.slot < 0) continue
      watched.silentMs += this.#tickMs
      // The tick in which it was last heard of may have been nearly over: that one does not count.
      if (watched.silentMs < watched.silenceMsMax + this.#tickMs) continue
      this.#watched.delete(watched)
      watched.fellSilent()
    }
  }
}
