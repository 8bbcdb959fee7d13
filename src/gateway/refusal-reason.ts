import type { RefusalReason } from '../core/events.ts'
import { isInteractive, type ServiceClass } from '../core/service-class.ts'
import type { Caller } from './key-table.ts'
import type { Access, Plane } from './plane.ts'

/** What else the caller could ask for; each only where there is something. */
export interface Alternatives {
  /** A tier of its plan that may wait longer. */
  readonly tier?: 'flex'
  /** Models that it may use and that have a free slot now. */
  readonly models?: readonly string[]
  /** Countries where the model is served too, if the workspace's terms allowed them. */
  readonly countries?: readonly string[]
}

/** The field `reason` of an error: docs/reference/errors.md. */
export interface ErrorReason {
  readonly constraint: RefusalReason['constraint']
  readonly class: string
  readonly expected_wait_ms: number
  readonly alternatives: Alternatives
}

/** Expected wait for a slot, ms. */
export type WaitOf = (model: string, access: Access) => number

/** So many other models are looked at: a refusal must stay cheap on the day when there are many. */
const modelsLookedAtMax = 8

/** Puts names to what the scheduler said. */
export function errorReason(
  { constraint, expectedWaitMs }: RefusalReason,
  plane: Plane,
  caller: Caller,
  access: Access,
  serviceClass: ServiceClass,
  modelName: string,
  waitOf: WaitOf,
): ErrorReason {
  const mayWait = constraint === 'wait' || constraint === 'deadline'
  const tier = mayWait && isInteractive(serviceClass.tier) && access.tiers.byName.flex !== undefined
  const models = otherModels(plane, caller, modelName, waitOf)
  const countries = otherCountries(plane, access)
  return {
    constraint,
    class: serviceClass.name,
    expected_wait_ms: Math.ceil(expectedWaitMs),
    alternatives: {
      ...(tier && { tier: 'flex' }),
      ...(models.length > 0 && { models }),
      ...(countries.length > 0 && { countries }),
    },
  }
}

function otherModels(plane: Plane, caller: Caller, modelName: string, waitOf: WaitOf): string[] {
  const others = Object.keys(plane.config.models).filter((name) => name !== modelName)
  return others.slice(0, modelsLookedAtMax).filter((name) => {
    const access = plane.access(caller, name)
    return access?.locationAllowed === true && access.eligible.indices.length > 0 && waitOf(name, access) === 0
  })
}

function otherCountries(plane: Plane, { excluded }: Access): string[] {
  const countries = new Set<string>()
  for (const { endpointId, rule } of excluded) {
    const country = rule === 'country' ? plane.endpoint(endpointId)?.country : undefined
    if (country !== undefined) countries.add(country)
  }
  return [...countries].sort()
}
