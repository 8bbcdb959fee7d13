import path from 'node:path'
import { EligibilityTable } from '../../register/eligibility.ts'
import type { LatencyModel } from '../../simulator/latency.ts'
import { fittedReplica } from '../../simulator/latency-table.ts'
import type { Scenario } from '../../simulator/scenario-schema.ts'
import type { Law, World } from '../../simulator/simulation.ts'
import { readTrace } from '../replay/trace.ts'
import { readClients } from './read-clients.ts'

/** The register's law over the endpoints of a simulated fleet. */
export const law: Law = (endpoints, version) => {
  const table = new EligibilityTable(endpoints, version)
  return (terms, model, substitutes) => table.lookup(terms, model, { substitutes, pricedOnly: false }).eligible
}

/** Everything a scenario needs that it does not hold itself. `dir`: where its relative paths begin. */
export function worldOf(scenario: Scenario, dir: string): World {
  const traces: Record<string, ReturnType<typeof readTrace>> = {}
  const clients: Record<string, ReturnType<typeof readClients>> = {}
  for (const demand of scenario.demand) {
    if (demand.kind === 'trace') traces[demand.file] ??= readTrace(demand.file, dir)
    if (demand.kind === 'clients')
      clients[demand.file] ??= readClients(path.resolve(dir, demand.file), path.resolve(dir, demand.tokens))
  }
  return { law, files: { traces, clients }, latencies: latenciesOf(scenario) }
}

function latenciesOf({ pools }: Scenario): Record<string, LatencyModel> {
  return Object.fromEntries(
    Object.entries(pools).map(([name, { latency, accelerator = '', weights = '', gpus }]) => [
      name,
      latency ?? (fittedReplica(accelerator, weights, gpus)?.latency as LatencyModel),
    ]),
  )
}
