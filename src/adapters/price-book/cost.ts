import type { TokenPrices } from '../../core/endpoint.ts'
import type { TokenCount } from '../../core/request.ts'

/** A dollar for a million tokens is a thousand nano-dollars for one. */
export const nanoUsdPerToken = 1_000

/** What tokens cost, in whole nano-dollars, so that sums are exact. */
export function costNanoUsd(tokens: TokenCount, prices: TokenPrices): number {
  const usd =
    (tokens.input - tokens.cachedInput) * prices.input +
    tokens.cachedInput * prices.cachedInput +
    tokens.output * prices.output
  return Math.round(usd * nanoUsdPerToken)
}

/** The most that a request can cost: nothing cached, all of the output used. */
export function holdNanoUsd(inputTokensMax: number, outputTokensMax: number, prices: TokenPrices): number {
  return Math.ceil(
    (inputTokensMax * Math.max(prices.input, prices.cachedInput) + outputTokensMax * prices.output) * nanoUsdPerToken,
  )
}
