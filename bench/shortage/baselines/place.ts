import type { Endpoint } from '../../../src/core/endpoint.ts'
import type { Failure } from '../../../src/core/failure.ts'
import type { RequestFacts } from '../../../src/core/request.ts'

/** An endpoint as a baseline sees it. */
export interface Place {
  readonly endpoint: Endpoint
  inFlight: number
}

/** What tells one proxy from another. It is shown eligible places only: no baseline may break the law. */
export interface Strategy {
  /** Where the request is tried now; undefined where it is not. `tried`: where it has failed already. */
  pick(places: readonly Place[], request: RequestFacts, tried: readonly Place[], nowMs: number): Place | undefined
  /** May it be tried at all, or is it refused at once? All may where this is absent. */
  admits?(request: RequestFacts, nowMs: number): boolean
  answered?(place: Place, startedMs: number, nowMs: number): void
  failed?(place: Place, failure: Failure, startedMs: number, nowMs: number): void
}

/** Those where it has not failed yet, or all where it has failed everywhere. */
export function untried(places: readonly Place[], tried: readonly Place[]): readonly Place[] {
  if (tried.length === 0) return places
  const left = places.filter((place) => !tried.includes(place))
  return left.length > 0 ? left : places
}
