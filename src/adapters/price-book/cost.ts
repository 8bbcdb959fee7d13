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

/** The most that tokens can cost: nothing cached, unless that is dearer. 0 where there is no price. */
export function maxCostNanoUsd(
  { input, output }: { readonly input: number; readonly output: number },
  prices: TokenPrices | undefined,
): number {
  if (prices === undefined) return 0
  return Math.ceil((input * Math.max(prices.input, prices.cachedInput) + output * prices.output) * nanoUsdPerToken)
}
