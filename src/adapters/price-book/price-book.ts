import type { ProviderConfig } from '../../config/config.ts'
import type { TokenPrices } from '../../core/endpoint.ts'
import listPrices from './list-prices.json' with { type: 'json' }

/** `[from date (YYYY-MM-DD, UTC), input, cached input, output]`, US dollars for a million tokens, oldest first. */
type DatedPrices = readonly (readonly [from: string, input: number, cachedInput: number, output: number])[]
export type PriceTable = Readonly<Record<string, Readonly<Record<string, DatedPrices>>>>

/**
 * Which list a provider's prices stand in; undefined for those that have none: an engine of one's own, or a vendor that
 * is not listed here.
 */
export function priceListOf(provider: ProviderConfig): string | undefined {
  if (provider.kind !== 'openai-compatible') return provider.kind
  return new URL(provider.baseUrl).hostname === 'api.openai.com' ? 'openai' : undefined
}

export interface ListPrice {
  readonly prices: TokenPrices
  /** Names the entry, for the journal: which price was in force. */
  readonly version: string
}

/** List prices by vendor, model and date. Where they come from: SOURCE.md. */
export class PriceBook {
  readonly #table: PriceTable

  constructor(table: PriceTable = listPrices as unknown as PriceTable) {
    this.#table = table
  }

  /** The price in force at a wall time; before the first that is known, the first. Undefined where none is known. */
  lookup(list: string, model: string, wallMs: number): ListPrice | undefined {
    const models = Object.hasOwn(this.#table, list) ? this.#table[list] : undefined
    const dated = models !== undefined && Object.hasOwn(models, model) ? models[model] : undefined
    if (dated === undefined) return undefined
    const today = new Date(wallMs).toISOString().slice(0, 10)
    const inForce = dated.findLast(([from]) => from <= today) ?? dated[0]
    if (inForce === undefined) return undefined
    const [from, input, cachedInput, output] = inForce
    return { prices: { input, cachedInput, output }, version: `list/${from}` }
  }
}
