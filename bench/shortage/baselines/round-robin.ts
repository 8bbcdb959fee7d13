import { type Place, type Strategy, untried } from './place.ts'

/** One place after the other; where a vendor is named, of its places only. */
export class RoundRobin implements Strategy {
  readonly #vendor: string | undefined
  #turn = 0

  constructor(vendor?: string) {
    this.#vendor = vendor
  }

  pick(places: readonly Place[], _request: unknown, tried: readonly Place[]): Place | undefined {
    const own =
      this.#vendor === undefined ? places : places.filter(({ endpoint }) => endpoint.subProcessor === this.#vendor)
    const open = untried(own, tried)
    return open[this.#turn++ % open.length]
  }
}
