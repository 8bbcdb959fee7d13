import type { Scorer } from './policy.ts'

/** A first token after this long is worth half of one at once: what people call noticeably slow in a chat. */
const halfWorthMs = 500

/** Prefers endpoints that answer their first token soonest. */
export const fastestFirstToken: Scorer = {
  name: 'fastest-first-token',
  score: (state, { nowMs }) => halfWorthMs / (halfWorthMs + state.firstTokenMs(nowMs)),
}

/** Prefers endpoints with the larger share of free slots. */
export const leastLoaded: Scorer = {
  name: 'least-loaded',
  score: (state, { nowMs }) => 1 - state.inFlight / state.slots(nowMs),
}

/** A million tokens at this price, in dollars and mixed three input to one output, are worth half of free ones. */
const halfWorthUsd = 1

/** Prefers cheap tokens. An endpoint without a known price is taken for the dearest. */
export const lowestPrice: Scorer = {
  name: 'lowest-price',
  score: ({ endpoint: { prices } }) =>
    prices === undefined ? 0 : halfWorthUsd / (halfWorthUsd + (3 * prices.input + prices.output) / 4),
}

/** Keeps requests that share a prompt prefix at one endpoint, where the prefix is cached. */
export const samePlace: Scorer = {
  name: 'same-place',
  score: ({ endpoint }, { affinityIndex }) => (endpoint.index === affinityIndex ? 1 : 0),
}
