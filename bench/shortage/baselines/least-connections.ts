import { type Place, type Strategy, untried } from './place.ts'

/** The place with the fewest requests in flight for its size: nginx's weighted `least_conn`. */
export const leastConnections: Strategy = {
  pick(places, _request, tried) {
    let best: Place | undefined
    let bestLoad = Number.POSITIVE_INFINITY
    for (const place of untried(places, tried)) {
      const load = place.inFlight / place.endpoint.concurrencyMax
      if (load >= bestLoad) continue
      best = place
      bestLoad = load
    }
    return best
  },
}
