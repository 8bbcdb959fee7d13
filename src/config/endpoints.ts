import type { Endpoint, RoutingPreset } from '../core/endpoint.ts'
import type { Config } from './config.ts'

/** An endpoint and how its provider knows it. */
export interface PlacedEndpoint extends Endpoint {
  readonly providerName: string
  readonly upstreamModel: string
}

/** All endpoints of a configuration in the order of the file; the place in the list is the index. */
export function endpointsOf(config: Config): PlacedEndpoint[] {
  const endpoints: PlacedEndpoint[] = []
  for (const [model, { endpoints: listed }] of Object.entries(config.models)) {
    const seen = new Map<string, number>()
    for (const { provider: providerName, upstreamModel, concurrencyMax, usdPerMillionTokens: prices } of listed) {
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
        concurrencyMax,
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
