import type { EndpointId } from './ids.ts'
import type { QuotaSetting } from './quota.ts'

/** US dollars for a million tokens of each kind. */
export interface TokenPrices {
  readonly input: number
  readonly cachedInput: number
  readonly output: number
}

/** How long a place takes to its first token when it has nothing else to do, ms. */
export interface NoLoadFirstToken {
  readonly baseMs: number
  readonly msPerInputToken: number
}

/**
 * One place where one model can be asked for. Immutable: a change of country, vendor or model is another endpoint.
 * `index` is its bit in every `Eligibility` of the same generation of endpoints.
 */
export interface Endpoint extends QuotaSetting {
  readonly id: EndpointId
  readonly index: number
  readonly model: string
  readonly subProcessor: string
  /** ISO 3166-1 alpha-2. */
  readonly country: string
  /** Requests in flight at once, at the most. */
  readonly concurrencyMax: number
  /** What its KV cache holds, tokens; absent where that is not known. */
  readonly kvTokens?: number
  /** Where given, the number in flight is also learned from its first tokens, never above `concurrencyMax`. */
  readonly noLoadFirstToken?: NoLoadFirstToken
  /** Absent where no price is known. */
  readonly prices?: TokenPrices
}

/** How endpoints of one model are chosen. */
export type RoutingPreset = 'interactive' | 'cheapest' | 'spill-over' | 'pinned'
