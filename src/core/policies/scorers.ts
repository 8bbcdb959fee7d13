import type { TokenPrices } from '../endpoint.ts'
import type { EndpointState } from '../endpoint-state.ts'

/** A first token after this long is worth half of one at once: what people call noticeably slow in a chat. */
const halfWorthMs = 500

/** Rates how soon the endpoint answers its first token: 1 at once, falling to 0. */
export function fastFirstToken(state: EndpointState, nowMs: number): number {
  return halfWorthMs / (halfWorthMs + state.firstTokenMs(nowMs))
}

/** Rates the share of slots that are free: 1 all, 0 none. */
export function lightLoad(state: EndpointState, nowMs: number): number {
  return 1 - state.inFlight / state.slots(nowMs)
}

/** US dollars for a million tokens, mixed three input to one output. */
export function mixedUsd({ input, output }: TokenPrices): number {
  return (3 * input + output) / 4
}

/** A million tokens at this price, in dollars and mixed three input to one output, are worth half of free ones. */
const halfWorthUsd = 1

/** Rates how cheap its tokens are: 1 for free ones, falling to 0, which is for those without a known price. */
export function lowPrice(state: EndpointState): number {
  return halfWorthUsd / (halfWorthUsd + state.mixedUsd)
}
