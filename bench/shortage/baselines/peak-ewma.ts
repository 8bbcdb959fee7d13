import type { Random } from '../../../src/core/random.ts'
import { type Place, type Strategy, untried } from './place.ts'

/** Linkerd's defaults: the decay of the average, and the round trip before one is known. */
const decayMs = 10_000
const roundTripMsDefault = 30

/**
 * Of two drawn the one that costs less: the peak EWMA of its times to first token, times its requests in flight, as
 * Linkerd has it. A failure counts with the time that it took.
 */
export class PeakEwma implements Strategy {
  readonly #random: Random
  readonly #averages = new Map<Place, { valueMs: number; atMs: number }>()

  constructor(random: Random) {
    this.#random = random
  }

  pick(places: readonly Place[], _request: unknown, tried: readonly Place[], nowMs: number): Place | undefined {
    const open = untried(places, tried)
    const draw = (count: number) => Math.floor(this.#random.next() * count)
    const first = draw(open.length)
    const one = open[first]
    if (one === undefined || open.length === 1) return one
    const other = open[(first + 1 + draw(open.length - 1)) % open.length] as Place
    return this.#cost(other, nowMs) < this.#cost(one, nowMs) ? other : one
  }

  answered(place: Place, startedMs: number, nowMs: number): void {
    this.#learn(place, nowMs - startedMs, nowMs)
  }

  failed(place: Place, _failure: unknown, startedMs: number, nowMs: number): void {
    this.#learn(place, nowMs - startedMs, nowMs)
  }

  #cost(place: Place, nowMs: number): number {
    const known = this.#averages.get(place)
    const averageMs = known === undefined ? roundTripMsDefault : known.valueMs * weightAfter(nowMs - known.atMs)
    return averageMs * (place.inFlight + 1)
  }

  #learn(place: Place, sampleMs: number, nowMs: number): void {
    const known = this.#averages.get(place)
    const weight = known === undefined || sampleMs > known.valueMs ? 0 : weightAfter(nowMs - known.atMs)
    const valueMs = (known?.valueMs ?? 0) * weight + sampleMs * (1 - weight)
    this.#averages.set(place, { valueMs, atMs: nowMs })
  }
}

function weightAfter(ms: number): number {
  return Math.exp(-ms / decayMs)
}
