import type { NoLoadFirstToken } from './endpoint.ts'

/** AIMD: what a refusal leaves of the limit, and the share of `concurrencyMax` that comes back each second. */
const refusalLeaves = 0.7
const growthPerSecond = 0.02

/** Defaults of Gradient2 in Netflix's concurrency-limits. */
const tolerance = 1.5
const smoothing = 0.2
const queueSize = 4
const limitMin = 20
const longWindow = 600
/** A single slow answer halves nothing by itself: what one sample says is bounded, then smoothed. */
const gradientMin = 0.5
/** The usual is forgotten faster where it is more than twice what is measured: it was learned under load. */
const forgetsAbove = 2
const forgetsTo = 0.95

/**
 * How many requests a place may have in flight, as far as its vendor's refusals tell: fewer after one that came for too
 * much at once, and more again as time goes by. A place that refuses nobody keeps all its slots.
 */
export class RefusalLimit {
  #cutTo = Number.POSITIVE_INFINITY
  #cutAtMs = Number.NEGATIVE_INFINITY

  limit(concurrencyMax: number, nowMs: number): number {
    if (this.#cutTo === Number.POSITIVE_INFINITY) return concurrencyMax
    return Math.min(concurrencyMax, this.#cutTo + (growthPerSecond * concurrencyMax * (nowMs - this.#cutAtMs)) / 1_000)
  }

  /** From when on it is all there is, if nobody is refused until then. */
  allFromMs(concurrencyMax: number): number {
    if (this.#cutTo >= concurrencyMax) return Number.NEGATIVE_INFINITY
    return this.#cutAtMs + ((concurrencyMax - this.#cutTo) * 1_000) / (growthPerSecond * concurrencyMax)
  }

  /** `inFlight`: with the one that was refused. What was sent before the last cut says nothing of what it left. */
  refused(concurrencyMax: number, inFlight: number, startedMs: number, nowMs: number): void {
    if (startedMs < this.#cutAtMs) return
    this.#cutTo = Math.max(1, refusalLeaves * Math.min(this.limit(concurrencyMax, nowMs), inFlight))
    this.#cutAtMs = nowMs
  }
}

/**
 * How many requests a place may have in flight, as far as its first tokens tell: Gradient2 of Netflix's
 * concurrency-limits, on measured times over those predicted without load, so that long prompts are not taken for a
 * queue.
 */
export class FirstTokenLimit {
  #limit: number
  /** The usual ratio of measured to predicted; a plain mean until the window is full. */
  #usual = 0
  #samples = 0

  constructor(concurrencyMax: number) {
    this.#limit = concurrencyMax
  }

  get limit(): number {
    return this.#limit
  }

  /** A first token came. `inFlight`: with the one that got it. */
  answered(
    measuredMs: number,
    predicted: NoLoadFirstToken,
    inputTokens: number,
    inFlight: number,
    concurrencyMax: number,
  ): void {
    const ratio = Math.max(measuredMs, 1) / Math.max(predicted.baseMs + predicted.msPerInputToken * inputTokens, 1)
    this.#samples++
    this.#usual += (ratio - this.#usual) * Math.max(1 / this.#samples, 2 / (longWindow + 1))
    if (this.#usual > forgetsAbove * ratio) this.#usual *= forgetsTo
    // Where few are in flight, what is measured says nothing of the limit.
    if (inFlight < this.#limit / 2) return
    const gradient = Math.max(gradientMin, Math.min(1, (tolerance * this.#usual) / ratio))
    const wanted = this.#limit * gradient + queueSize
    const next = this.#limit + (wanted - this.#limit) * smoothing
    this.#limit = Math.min(concurrencyMax, Math.max(next, limitMin))
  }
}
