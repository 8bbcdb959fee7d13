import path from 'node:path'
import { readClients } from '../../src/cli/simulate/read-clients.ts'
import { readScenario } from '../../src/cli/simulate/read-scenario.ts'
import { worldOf } from '../../src/cli/simulate/world.ts'
import type { ClientRecord } from '../../src/simulator/demand.ts'
import type { Scenario } from '../../src/simulator/scenario-schema.ts'
import { simulate } from '../../src/simulator/simulation.ts'
import type { Finding } from './finding.ts'

const examples = path.join(import.meta.dirname, '../../examples')

/** As published: the mean of the nodes in use, and what they would have cost at $2 for a GPU hour. */
const published = { nodes: 226.75, usd: 87_072 }
const offMax = 0.05

const dayMs = 86_400_000
const hoursOfLevel = 3
const levelMs = hoursOfLevel * 3_600_000

/** A node more is needed where more than one request in a hundred waits longer for a free place, ms. */
const waitMsMax = 1_000

/** Every answer takes 58 s: by then as many run as will. */
const measured = { warmUp: 80_000, duration: 120_000 }

/**
 * DeepSeek's fleet on the day whose figures it published (examples/fleet-day). Given: tokens of the day, what one node
 * reads and writes in a second, how fast a user's answer comes, the price of a GPU hour; and how demand rises and falls,
 * from another house's day of the same model (examples/traces, ServeGen). Not given: how many nodes there were, at any
 * time or on average. The simulator looks for the smallest fleet that makes nobody wait, eight times a day.
 *
 * Published speeds of a node are themselves the day's tokens over the day's nodes, so this shows that the simulator
 * neither finds nor loses capacity over queues, batches and a day's curve; not that it knows the hardware.
 */
export function checkFleetDay(): Finding[] {
  const scenario = readScenario(path.join(examples, 'fleet-day/deepseek-2025-02-27.yaml'))
  const traces = path.join(examples, 'traces')
  const clients = readClients(
    path.join(traces, 'servegen-deepseek-r1-rates.csv.gz'),
    path.join(traces, 'servegen-deepseek-r1-tokens.csv.gz'),
  )
  const pools = Object.values(scenario.pools)
  const needed = levelsOf(clients).map((level) => nodesFor(scenario, level))
  const nodes = needed.reduce((sum, count) => sum + count, 0) / needed.length
  const usd = needed.reduce((sum, count) => sum + count * hoursOfLevel, 0) * usdPerNodeHour(pools)
  return [
    { name: 'DeepSeek’s day: nodes on average', wanted: published.nodes, got: nodes, note: `${needed.join(', ')}` },
    { name: 'DeepSeek’s day: cost, $', wanted: published.usd, got: usd, note: '' },
  ].map((finding) => ({ ...finding, holds: Math.abs(finding.got / finding.wanted - 1) <= offMax }))
}

function usdPerNodeHour(pools: readonly Scenario['pools'][string][]): number {
  return (pools[0]?.usdPerGpuHour ?? 0) * (pools[0]?.gpus ?? 0)
}

/** Requests in each part of the day over those of its mean. */
function levelsOf(clients: readonly ClientRecord[]): number[] {
  const sums = new Array<number>(dayMs / levelMs).fill(0)
  for (const { rates } of clients)
    for (const { fromMs, perSecond } of rates) {
      const at = Math.floor(fromMs / levelMs)
      sums[at] = (sums[at] ?? 0) + perSecond
    }
  const mean = sums.reduce((sum, value) => sum + value, 0) / sums.length
  return sums.map((sum) => sum / mean)
}

/** The fewest nodes of both kinds that serve so many times the demand of the scenario. */
function nodesFor(scenario: Scenario, level: number): number {
  const demand = scenario.demand.map((one) =>
    one.kind === 'steady' ? { ...one, requestsPerSecond: one.requestsPerSecond * level } : one,
  )
  // The scenario's own nodes are near the fewest for its demand: begin a little below.
  let pools = Object.entries(scenario.pools).map(([name, pool]) => ({
    name,
    pool: { ...pool, replicas: Math.max(1, Math.floor(pool.replicas * level * 0.98)) },
  }))
  for (;;) {
    const tried = { ...scenario, ...measured, demand, pools: Object.fromEntries(pools.map((p) => [p.name, p.pool])) }
    const { recorder } = simulate(tried, worldOf(tried, examples))
    // One group of tenants, so one tally, for each pool and in their order.
    const isShort = recorder.tallies.map(({ waitMs, offered }) => waitMs.atShare(0.99) > waitMsMax || offered === 0)
    if (!isShort.includes(true)) return pools.reduce((sum, { pool }) => sum + pool.replicas, 0)
    pools = pools.map((p, at) => ({ ...p, pool: { ...p.pool, replicas: p.pool.replicas + (isShort[at] ? 1 : 0) } }))
  }
}
