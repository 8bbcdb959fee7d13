import type { Highs } from 'highs'
import { roundTripMs } from '../../src/simulator/network.ts'
import type { Scenario } from '../../src/simulator/scenario-schema.ts'
import type { World } from '../../src/simulator/simulation.ts'
import { type TenantTerms, tenantsOf } from '../../src/simulator/tenants.ts'
import { type Cell, type PoolCapacity, valueBound } from './bound.ts'
import { fullReplica, kvTokensOf, workMs } from './capacity.ts'
import type { Offer } from './measure.ts'

export interface BoundTerms {
  /**
   * Of a bucket of time. Divides the times of all faults, and with `bucketsLater` is as long as a client's chain of
   * retries and a mean answer.
   */
  readonly bucketMs: number
  /** What a token of an answer is worth, by plan. */
  readonly valuePerToken: Readonly<Record<string, number>>
}

interface PoolWork {
  workMs(input: number, output: number): number
}

/** The value that perfect information would have made of these requests. */
export function perfectValue(
  highs: Highs,
  scenario: Scenario,
  world: World,
  offers: readonly Offer[],
  terms: BoundTerms,
): number {
  const pools = poolsOf(scenario, world, offers)
  return valueBound(
    highs,
    cellsOf(scenario, pools, offers, terms),
    Object.keys(scenario.pools).map((name) => capacityOf(scenario, name, terms.bucketMs)),
  )
}

/** Work asked for over what the whole fleet can do in that time: 1 is an offered load of 1.0 × capacity. */
export function offeredLoad(
  scenario: Scenario,
  world: World,
  offers: readonly Offer[],
  fromMs: number,
  toMs: number,
): number {
  const replicas = Object.values(scenario.pools).map((pool) => pool.replicas)
  const all = replicas.reduce((sum, count) => sum + count, 0)
  const pools = poolsOf(scenario, world, offers)
  let workMs = 0
  for (const { arrival, bornMs } of offers) {
    if (bornMs < fromMs || bornMs >= toMs) continue
    // As if every pool got its part of each request.
    pools.forEach((pool, at) => {
      workMs += (pool.workMs(arrival.input, arrival.output) * (replicas[at] as number)) / all
    })
  }
  return workMs / ((toMs - fromMs) * all)
}

function poolsOf(scenario: Scenario, { latencies }: World, offers: readonly Offer[]): PoolWork[] {
  const meanOf = (of: (offer: Offer) => number) => offers.reduce((sum, offer) => sum + of(offer), 0) / offers.length
  const output = meanOf(({ arrival }) => arrival.output)
  const mean = {
    input: meanOf(({ arrival }) => arrival.input),
    output,
    // Long answers hold their tokens for longer, so what is in the cache at a moment is weighted by length.
    kvTokens: meanOf(({ arrival }) => kvTokensOf(arrival) * arrival.output) / output,
  }
  return Object.entries(scenario.pools).map(([name, spec]) => {
    const latency = latencies[name] as World['latencies'][string]
    const networkMs = spec.roundTrip ?? roundTripMs(scenario.gateway.country, spec.country) ?? 0
    const replica = fullReplica(latency, spec.concurrencyMax, mean, networkMs)
    return {
      workMs: (input, outputTokens) => workMs(replica, { input, output: outputTokens }, networkMs),
    }
  })
}

function capacityOf({ duration, pools, faults }: Scenario, name: string, bucketMs: number): PoolCapacity {
  const spec = pools[name] as Scenario['pools'][string]
  const workMs = Float64Array.from({ length: Math.ceil(duration / bucketMs) }, (_, bucket) => {
    const fromMs = bucket * bucketMs
    let upMs = bucketMs
    for (const fault of faults)
      if (fault.kind === 'loss' && fault.where.subProcessor === spec.subProcessor)
        upMs -= Math.max(0, Math.min(fromMs + bucketMs, fault.at + fault.for) - Math.max(fromMs, fault.at))
    return upMs * spec.replicas
  })
  return { workMs }
}

function cellsOf(
  scenario: Scenario,
  pools: readonly PoolWork[],
  offers: readonly Offer[],
  { bucketMs, valuePerToken }: BoundTerms,
): Cell[] {
  const tenants = tenantsOf(scenario)
  const specs = Object.values(scenario.pools)
  const sums = new Map<string, { plan: string; bucket: number; tokens: number; work: Map<number, number> }>()
  for (const { arrival, bornMs } of offers) {
    const { plan, terms } = tenants[arrival.tenant] as (typeof tenants)[number]
    const bucket = Math.floor(bornMs / bucketMs)
    const key = `${bucket} ${plan} ${String(terms.countries)} ${String(terms.subProcessors)}`
    let sum = sums.get(key)
    if (sum === undefined) {
      const allowed = specs.flatMap((spec, pool) => (isAllowed(terms, spec) ? [[pool, 0] as const] : []))
      sum = { plan, bucket, tokens: 0, work: new Map(allowed) }
      sums.set(key, sum)
    }
    sum.tokens += arrival.output
    for (const [pool, before] of sum.work)
      sum.work.set(pool, before + (pools[pool] as PoolWork).workMs(arrival.input, arrival.output))
  }
  return [...sums.values()].map(({ plan, bucket, tokens, work }) => ({
    bucket,
    valuePerToken: valuePerToken[plan] as number,
    tokens,
    workMsPerToken: new Map([...work].map(([pool, sum]) => [pool, sum / tokens])),
  }))
}

function isAllowed(
  { countries, subProcessors }: TenantTerms,
  { country, subProcessor }: Scenario['pools'][string],
): boolean {
  const allows = (list: readonly string[] | 'any', one: string) => list === 'any' || list.includes(one)
  return allows(countries, country) && allows(subProcessors, subProcessor)
}
