import { floorSumMax } from '../core/service-class.ts'
import { fittedReplica, fittedReplicas } from './latency-table.ts'
import { roundTripMs } from './network.ts'
import type { Scenario } from './scenario-schema.ts'

/** A mistake and the place in the scenario where it is. */
export interface ScenarioFinding {
  readonly path: readonly PropertyKey[]
  readonly message: string
}

/** What one part of a scenario says about another, and about what was measured: every name must be that of something. */
export function scenarioFindings(scenario: Scenario): ScenarioFinding[] {
  return [
    ...poolFindings(scenario),
    ...planFindings(scenario),
    ...tenantFindings(scenario),
    ...demandFindings(scenario),
    ...faultFindings(scenario),
  ]
}

function poolFindings({ pools, models, gateway }: Scenario): ScenarioFinding[] {
  return Object.entries(pools).flatMap(([name, pool]) => {
    const at = (...path: string[]) => ['pools', name, ...path]
    const findings: ScenarioFinding[] = []
    if (models[pool.model] === undefined)
      findings.push({ path: at('model'), message: `there is no model ${pool.model}` })
    if (pool.roundTrip === undefined && roundTripMs(gateway.country, pool.country) === undefined)
      findings.push({
        path: at('country'),
        message: `no round trip is known from ${gateway.country} to ${pool.country}; give it as roundTrip`,
      })
    if (pool.latency !== undefined) return findings
    const { accelerator, weights } = pool
    if (accelerator === undefined || weights === undefined)
      findings.push({ path: at(), message: 'say how fast it is: accelerator and weights, or latency' })
    else if (fittedReplica(accelerator, weights, pool.gpus) === undefined)
      findings.push({ path: at('accelerator'), message: notMeasured(accelerator, weights, pool.gpus) })
    return findings
  })
}

function notMeasured(accelerator: string, weights: string, gpus: number): string {
  const known = fittedReplicas.filter((row) => row.accelerator === accelerator && row.weights === weights)
  if (known.length > 0)
    return `${weights} was not measured on ${gpus} ${accelerator}, but on ${[...new Set(known.map((row) => row.gpus))].join(', ')}`
  const accelerators = [
    ...new Set(fittedReplicas.filter((row) => row.weights === weights).map((row) => row.accelerator)),
  ]
  if (accelerators.length > 0) return `${weights} was not measured on ${accelerator}, but on ${accelerators.join(', ')}`
  return `${weights} was not measured; known are ${[...new Set(fittedReplicas.map((row) => row.weights))].join(', ')}`
}

/** A class cannot be promised more of a model than there is. */
function planFindings({ plans }: Scenario): ScenarioFinding[] {
  let sum = 0
  for (const { tiers } of Object.values(plans)) for (const { floor } of Object.values(tiers)) sum += floor
  return sum <= floorSumMax
    ? []
    : [{ path: ['plans'], message: 'the floors of all plans and tiers come to more than 1' }]
}

function tenantFindings({ tenants, plans, gateway }: Scenario): ScenarioFinding[] {
  return Object.entries(tenants).flatMap(([name, { plan, country }]) => {
    const findings: ScenarioFinding[] = []
    if (plans[plan] === undefined)
      findings.push({ path: ['tenants', name, 'plan'], message: `there is no plan ${plan}` })
    if (roundTripMs(country, gateway.country) === undefined)
      findings.push({
        path: ['tenants', name, 'country'],
        message: `no round trip is known from ${country} to ${gateway.country}`,
      })
    return findings
  })
}

function demandFindings({ demand, tenants, models }: Scenario): ScenarioFinding[] {
  return demand.flatMap((spec, index) => {
    const findings: ScenarioFinding[] = []
    if (models[spec.model] === undefined)
      findings.push({ path: ['demand', index, 'model'], message: `there is no model ${spec.model}` })
    for (const group of Object.keys(spec.tenants))
      if (tenants[group] === undefined)
        findings.push({ path: ['demand', index, 'tenants', group], message: `there is no group of tenants ${group}` })
    return findings
  })
}

function faultFindings({ faults, pools, duration }: Scenario): ScenarioFinding[] {
  return faults.flatMap((fault, index) => {
    const at = (...path: PropertyKey[]) => ['faults', index, ...path]
    const findings: ScenarioFinding[] = []
    if (fault.at >= duration) findings.push({ path: at('at'), message: 'this is after the end of the scenario' })
    if (!('where' in fault)) return findings
    const { where } = fault
    for (const [place, name] of (where.pools ?? []).entries())
      if (pools[name] === undefined)
        findings.push({ path: at('where', 'pools', place), message: `there is no pool ${name}` })
    const specs = Object.values(pools)
    for (const key of ['subProcessor', 'country', 'region'] as const)
      if (where[key] !== undefined && !specs.some((spec) => spec[key] === where[key]))
        findings.push({ path: at('where', key), message: `no pool has ${key} ${where[key]}` })
    if (fault.kind === 'spot-wave' && !specs.some(({ spot }) => spot !== undefined))
      findings.push({ path: at('kind'), message: 'no pool is a spot pool' })
    return findings
  })
}
