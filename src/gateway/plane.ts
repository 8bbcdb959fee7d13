import { type ListPrice, type PriceBook, priceListOf } from '../adapters/price-book/price-book.ts'
import type { Provider } from '../adapters/providers/provider.ts'
import type { Config, ModelConfig, PlanConfig } from '../config/config.ts'
import { endpointsOf, type PlacedEndpoint, routingOf } from '../config/endpoints.ts'
import type { BrownoutStep } from '../core/brownout.ts'
import type { TokenPrices } from '../core/endpoint.ts'
import type { RoutingByModel } from '../core/events.ts'
import type { EndpointId } from '../core/ids.ts'
import type { Eligibility } from '../core/request.ts'
import { type ServiceTerms, type ServiceTier, serviceTermsOf, serviceTiers } from '../core/service-class.ts'
import { EligibilityTable, type Exclusion, locationAllowed } from '../register/eligibility.ts'
import type { Caller } from './key-table.ts'

/** One endpoint and the provider that reaches it. */
export interface ServedEndpoint extends PlacedEndpoint {
  /** Undefined while the provider's secret is missing. */
  readonly provider: Provider | undefined
  readonly priceVersion: string
}

/** What one caller may do with one model. */
export interface Access {
  readonly model: ModelConfig
  readonly tiers: PlanTiers
  /** What the caller's plan does without while the model is short. */
  readonly brownout: readonly BrownoutStep[]
  readonly eligible: Eligibility
  /** Why each other endpoint is out. */
  readonly excluded: readonly Exclusion[]
  /** The dearest price of each kind over the eligible endpoints, for holds; undefined where one has no price. */
  readonly pricesMax: TokenPrices | undefined
  /** Spillway itself runs where this tenant's data may be. */
  readonly locationAllowed: boolean
}

/** The tiers that a plan has. */
export interface PlanTiers {
  readonly plan: string
  readonly byName: Readonly<Partial<Record<ServiceTier, ServiceTerms>>> & { readonly default: ServiceTerms }
  readonly refusesOthers: boolean
}

export interface PlaneOptions {
  readonly config: Config
  readonly providers: ReadonlyMap<string, Provider>
  readonly priceBook: PriceBook
  readonly wallMs: number
  /** Counts reloads. */
  readonly version: number
}

/**
 * One generation of the data plane: everything a request needs to know of the configuration, immutable, replaced as a
 * whole by a reload.
 */
export class Plane {
  readonly version: number
  /** Since when it is in force. */
  readonly wallMs: number
  readonly config: Config
  readonly endpoints: readonly ServedEndpoint[]
  readonly routing: RoutingByModel
  readonly #byId: ReadonlyMap<EndpointId, ServedEndpoint>
  readonly #table: EligibilityTable
  readonly #tiers = new Map<string, PlanTiers>()
  #access = new WeakMap<Caller, Map<string, Access | undefined>>()

  constructor(options: PlaneOptions) {
    const { config, providers, priceBook, wallMs } = options
    this.version = options.version
    this.wallMs = wallMs
    this.config = config
    this.endpoints = endpointsOf(config).map((placed): ServedEndpoint => {
      const provider = providers.get(placed.providerName)
      const listed = placed.prices === undefined ? listPrice(config, placed, priceBook, wallMs) : undefined
      const prices = placed.prices ?? listed?.prices
      return {
        ...placed,
        ...(prices && { prices }),
        provider,
        priceVersion: placed.prices ? 'config' : (listed?.version ?? 'none'),
      }
    })
    this.routing = routingOf(config)
    this.#byId = new Map(this.endpoints.map((endpoint) => [endpoint.id, endpoint]))
    this.#table = new EligibilityTable(this.endpoints, options.version)
  }

  endpoint(id: EndpointId): ServedEndpoint | undefined {
    return this.#byId.get(id)
  }

  /** Undefined where there is no such model. */
  access(caller: Caller, modelName: string): Access | undefined {
    let byModel = this.#access.get(caller)
    if (byModel === undefined) {
      byModel = new Map()
      this.#access.set(caller, byModel)
    }
    if (byModel.has(modelName)) return byModel.get(modelName)
    const access = this.#compile(caller, modelName)
    // Names come from callers: what is no model is not remembered.
    if (access !== undefined) byModel.set(modelName, access)
    return access
  }

  #compile({ tenant, budgets }: Caller, modelName: string): Access | undefined {
    const model = Object.hasOwn(this.config.models, modelName) ? this.config.models[modelName] : undefined
    if (model === undefined) return undefined
    const { eligible, excluded } = this.#table.lookup(tenant, modelName, {
      substitutes: model.substitutes,
      pricedOnly: budgets.some(({ usdPerMonth }) => usdPerMonth !== undefined),
    })
    return {
      model,
      tiers: this.#tiersOf(tenant.plan),
      brownout: this.#planOf(tenant.plan)?.brownout ?? [],
      eligible,
      excluded,
      pricesMax: this.#pricesMax(eligible),
      locationAllowed: locationAllowed(tenant, this.config.location),
    }
  }

  /** Undefined where a tenant of the database has a plan that the file no longer knows. */
  #planOf(plan: string): PlanConfig | undefined {
    return Object.hasOwn(this.config.plans, plan) ? this.config.plans[plan] : undefined
  }

  /** One object for each class of this generation, whoever is in it. */
  #tiersOf(plan: string): PlanTiers {
    let tiers = this.#tiers.get(plan)
    if (tiers === undefined) {
      tiers = planTiers(plan, this.#planOf(plan))
      this.#tiers.set(plan, tiers)
    }
    return tiers
  }

  #pricesMax(eligible: Eligibility): TokenPrices | undefined {
    let input = 0
    let cachedInput = 0
    let output = 0
    for (const index of eligible.indices) {
      const prices = this.endpoints[index]?.prices
      if (prices === undefined) return undefined
      input = Math.max(input, prices.input)
      cachedInput = Math.max(cachedInput, prices.cachedInput)
      output = Math.max(output, prices.output)
    }
    return { input, cachedInput, output }
  }
}

/** A tier that gives way to all others needs no permission; one that goes before them does. */
function planTiers(plan: string, config: PlanConfig | undefined): PlanTiers {
  const { priority = 0, tiers = {}, otherTiers = 'default' } = config ?? {}
  const terms = (tier: ServiceTier) => serviceTermsOf(plan, priority, tier, tiers[tier])
  const byName: Partial<Record<ServiceTier, ServiceTerms>> & { default: ServiceTerms } = { default: terms('default') }
  for (const tier of serviceTiers) if (tier !== 'priority' || tiers.priority !== undefined) byName[tier] = terms(tier)
  return { plan, byName, refusesOthers: otherTiers === 'refuse' }
}

function listPrice(
  config: Config,
  { providerName, upstreamModel }: PlacedEndpoint,
  priceBook: PriceBook,
  wallMs: number,
): ListPrice | undefined {
  const provider = config.providers[providerName]
  const list = provider === undefined ? undefined : priceListOf(provider)
  return list === undefined ? undefined : priceBook.lookup(list, upstreamModel, wallMs)
}
