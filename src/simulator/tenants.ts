import { hashText } from '../core/rendezvous.ts'
import { type ServiceTerms, type ServiceTier, serviceTermsOf } from '../core/service-class.ts'
import { roundTripMs } from './network.ts'
import type { Scenario } from './scenario-schema.ts'

/** What a tenant has agreed to. */
export interface TenantTerms {
  readonly countries: readonly string[] | 'any'
  readonly subProcessors: readonly string[] | 'any'
  readonly allowSubstitutes: boolean
}

export interface SimulatedTenant {
  readonly id: string
  readonly group: string
  readonly plan: string
  readonly country: string
  readonly terms: TenantTerms
  /** Tells its prompts from equal ones of others. */
  readonly salt: number
  /** By tier. */
  readonly classes: Readonly<Record<ServiceTier, ServiceTerms>>
  /** The plan's: a first token later than this is not good. */
  readonly firstTokenGoalMs: number
  /** From the client to the gateway and back. */
  readonly networkMs: number
}

function classesOf(name: string, { priority, tiers }: Scenario['plans'][string]): SimulatedTenant['classes'] {
  const terms = (tier: ServiceTier) => {
    const { deadline: deadlineMs, ...spec } = tiers[tier] ?? {}
    return serviceTermsOf(name, priority, tier, { ...spec, deadlineMs })
  }
  return { priority: terms('priority'), default: terms('default'), flex: terms('flex'), batch: terms('batch') }
}

/** Every tenant of a scenario, those of a group side by side. */
export function tenantsOf({ tenants, plans, gateway }: Scenario): SimulatedTenant[] {
  const classes = Object.fromEntries(Object.entries(plans).map(([name, plan]) => [name, classesOf(name, plan)]))
  return Object.entries(tenants).flatMap(([group, spec]) => {
    const plan = plans[spec.plan] as Scenario['plans'][string]
    return Array.from({ length: spec.count }, (_, at) => ({
      id: spec.count === 1 ? group : `${group}-${at + 1}`,
      salt: hashText(`${group}-${at + 1}`),
      group,
      plan: spec.plan,
      country: spec.country,
      terms: spec,
      classes: classes[spec.plan] as SimulatedTenant['classes'],
      firstTokenGoalMs: plan.firstToken,
      networkMs: roundTripMs(spec.country, gateway.country) ?? 0,
    }))
  })
}
