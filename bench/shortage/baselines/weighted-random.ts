import type { Random } from '../../../src/core/random.ts'
import { type Place, type Strategy, untried } from './place.ts'

/** LiteLLM's `allowed_fails` and `cooldown_time`, as its page on routing sets them. */
const failuresAllowed = 3
const failuresWindowMs = 60_000
const cooldownMs = 60_000

/** LiteLLM's `simple-shuffle`: drawn by size; a place that fails more than thrice in a minute rests for one. */
export class WeightedRandom implements Strategy {
  readonly #random: Random
  readonly #restsUntilMs = new Map<Place, number>()
  readonly #failures = new Map<Place, { count: number; untilMs: number }>()

  constructor(random: Random) {
    this.#random = random
  }

  pick(places: readonly Place[], _request: unknown, tried: readonly Place[], nowMs: number): Place | undefined {
    const awake = places.filter((place) => (this.#restsUntilMs.get(place) ?? 0) <= nowMs)
    const open = untried(awake, tried)
    let left = this.#random.next() * open.reduce((sum, { endpoint }) => sum + endpoint.concurrencyMax, 0)
    for (const place of open) {
      left -= place.endpoint.concurrencyMax
      if (left < 0) return place
    }
    return undefined
  }

  failed(place: Place, _failure: unknown, _startedMs: number, nowMs: number): void {
    const known = this.#failures.get(place)
    const recent =
      known === undefined || known.untilMs <= nowMs ? { count: 0, untilMs: nowMs + failuresWindowMs } : known
    recent.count++
    this.#failures.set(place, recent)
    if (recent.count > failuresAllowed) this.#restsUntilMs.set(place, nowMs + cooldownMs)
  }
}
