import type { Endpoint, RoutingPreset } from '../core/endpoint.ts'
import type { Config, ProviderConfig } from './config.ts'

/** An endpoint and how its provider knows it. */
export interface PlacedEndpoint extends Endpoint {
  readonly providerName: string
  readonly upstreamModel: string
}

/**
 * Vendors that count a request's upper bound against their quota for good. Azure adds its estimate to a count that the
 * minute's end alone resets; Bedrock and Vertex settle it on what was used.
 */
const keepingCharge: ReadonlySet<ProviderConfig['kind']> = new Set(['azure'])

/** All endpoints of a configuration in the order of the file; the place in the list is the index. */
export function endpointsOf(config: Config): PlacedEndpoint[] {
  const endpoints: PlacedEndpoint[] = []
  for (const [model, { endpoints: listed }] of Object.entries(config.models)) {
    const seen = new Map<string, number>()
    for (const { provider: providerName, upstreamModel, usdPerMillionTokens: prices, ...takes } of listed) {
      const provider = config.providers[providerName]
      if (provider === undefined)
        throw new Error(`the model ${model} names the provider ${providerName}, which is not there`)
      const nth = (seen.get(providerName) ?? 0) + 1
      seen.set(providerName, nth)
      endpoints.push({
        id: nth === 1 ? `${model}/${providerName}` : `${model}/${providerName}#${nth}`,
        index: endpoints.length,
        model,
        subProcessor: provider.subProcessor,
        country: provider.country,
        ...takes,
        ...(keepingCharge.has(provider.kind) && { keepsCharge: true }),
        ...(prices && { prices }),
        providerName,
        upstreamModel,
      })
    }
  }
  return endpoints
}

/** How each model chooses among its endpoints. */
export function routingOf(config: Config): Record<string, RoutingPreset> {
  return Object.fromEntries(Object.entries(config.models).map(([name, { routing }]) => [name, routing]))
}
