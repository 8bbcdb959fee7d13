import type { EndpointState } from '../endpoint-state.ts'

/** What a scorer may look at beside the endpoint itself. */
export interface ScoringContext {
  readonly nowMs: number
  /** Index of the endpoint that the request's affinity points to; -1 where it has none. */
  readonly affinityIndex: number
}

/** Rates one endpoint for a request: 0 is worst, 1 is best. Called for each candidate of each decision. */
export interface Scorer {
  readonly name: string
  score(state: EndpointState, context: ScoringContext): number
}

export interface WeightedScorer {
  readonly scorer: Scorer
  readonly weight: number
}

/** Chooses among candidates that all may and can serve. */
export interface RoutingPolicy {
  /** Summed by weight; the highest wins, the earlier listed of equals. Empty: the order of the list decides. */
  readonly scorers: readonly WeightedScorer[]
  /** Serves only in the listed order: an endpoint that is full is waited for, only a failing one is passed over. */
  readonly inOrder: boolean
  /** A scorer looks at `affinityIndex`. */
  readonly usesAffinity: boolean
}
