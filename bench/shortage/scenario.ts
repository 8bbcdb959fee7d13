import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { readScenario } from '../../src/cli/simulate/read-scenario.ts'
import type { Scenario } from '../../src/simulator/scenario-schema.ts'
import { Stream } from '../../src/simulator/stream.ts'
import type { BoundTerms } from './perfect.ts'

/** Where the scenario is, and its paths begin. */
export const scenarioDir = fileURLToPath(new URL('../../examples/vendor-loss', import.meta.url))

/** A client gives up 20 s after it first asked, has its first token 5 s after it asked last; a mean answer takes 5 s. */
export const lossTerms: BoundTerms = {
  bucketMs: 15_000,
  valuePerToken: { enterprise: 10, team: 5, edu: 3, api: 2, flex: 0.5 },
}
/** By how much a mapping moves the share of a group at the most, up or down. */
const drift = 0.25
/** What enterprises were sold is known better. */
const enterpriseDrift = 0.08

/**
 * The scenario under one mapping of the trace to tenants and countries, and one seed. Mapping 1 is that of the file;
 * others draw each group's share anew around it. The seed draws all else, and where in the trace the run begins.
 */
export function vendorLoss(mapping: number, seed: number): Scenario {
  const scenario = readScenario(path.join(scenarioDir, 'scenario.yaml'))
  const stream = new Stream(mapping, 'mapping')
  const beginning = new Stream(seed, 'beginning of the trace')
  const demand = scenario.demand.map((spec) => {
    const tenants = Object.fromEntries(
      Object.entries(spec.tenants).map(([group, weight]) => {
        const by = scenario.tenants[group]?.plan === 'enterprise' ? enterpriseDrift : drift
        return [group, mapping === 1 ? weight : weight * (1 + by * (2 * stream.next() - 1))]
      }),
    )
    return spec.kind === 'trace'
      ? { ...spec, tenants, from: Math.floor(beginning.next() * 600_000) }
      : { ...spec, tenants }
  })
  return { ...scenario, seed, demand }
}
