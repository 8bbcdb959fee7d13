import type { EndpointState } from '../endpoint-state.ts'
import { fastFirstToken, lightLoad, lowPrice } from './scorers.ts'

/** How a model's endpoints are chosen. */
export type RoutingPolicy =
  /** The endpoint whose ratings, each between 0 and 1 and times its weight, add up to the most; of equals any. */
  | { readonly kind: 'best'; readonly weights: Weights }
  /** In the order of prices, each filled until it is nearly saturated before the next is asked. */
  | { readonly kind: 'spill-over' }
  /** In the listed order: one that is full is waited for, only one that fails, or asks to be left alone, is passed over. */
  | { readonly kind: 'in-order' }

export interface Weights {
  readonly fastFirstToken: number
  readonly lightLoad: number
  readonly lowPrice: number
  /** To be the place where requests of the same affinity went, and their common prefix is cached. */
  readonly samePlace: number
}

/** All of a place's rating but `samePlace`, which only a comparison of places can tell. */
export function rate(state: EndpointState, weights: Weights, nowMs: number): number {
  return (
    weights.fastFirstToken * fastFirstToken(state, nowMs) +
    weights.lightLoad * lightLoad(state, nowMs) +
    (weights.lowPrice === 0 ? 0 : weights.lowPrice * lowPrice(state))
  )
}
