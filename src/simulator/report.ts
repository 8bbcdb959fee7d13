import { Tally } from './recorder.ts'
import { nameOf, type Recovery, recoveriesOf } from './recovery.ts'
import type { Outcome } from './simulation.ts'

export interface Percentiles {
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}

/** One line of a table: all requests of a class, a plan, a country, a tenant. */
export interface GroupReport {
  readonly name: string
  readonly tenants: number
  readonly offered: number
  /** Shares of what was offered. */
  readonly served: number
  readonly good: number
  /** Good tokens over tokens asked for. */
  readonly goodput: number
  readonly firstTokenMs: Percentiles
  readonly waitMs: Percentiles
  readonly refused: Readonly<Record<string, number>>
  readonly cut: number
  readonly gaveUp: number
  readonly wastedTokens: number
  /** Jain's index over the tenants of the group, as in `fairness`. */
  readonly jain: number
}

export interface PoolReport {
  readonly name: string
  readonly subProcessor: string
  readonly country: string
  readonly replicas: number
  readonly gpus: number
  /** Share of the slots of working replicas that were in use. */
  readonly utilisation: number
  /** Share of the time that replicas worked. */
  readonly availability: number
  /** By the GPU hour; null where no such price is given. */
  readonly costUsd: number | null
}

/** What a run came to. Times in ms, shares from 0 to 1. */
export interface Report {
  readonly name: string
  readonly seed: number
  readonly digest: string
  readonly simulatedSeconds: number
  readonly requests: number
  readonly served: number
  readonly good: number
  readonly goodput: number
  readonly goodTokens: number
  readonly wantedTokens: number
  readonly wastedTokens: number
  readonly cachedShare: number
  readonly firstTokenMs: Percentiles
  readonly waitMs: Percentiles
  readonly refused: Readonly<Record<string, number>>
  readonly attemptFailures: Readonly<Record<string, number>>
  /** Tries at vendors for each request that got one: on average, and in the worst second. */
  readonly attemptsPerRequest: { readonly mean: number; readonly worstSecond: number }
  readonly costUsd: number | null
  readonly usdPerMillionGoodTokens: number | null
  readonly fairness: {
    /** Jain's index over the tenants' share of tokens served in those asked for: 1 is even. */
    readonly jain: number
    /** Tokens, between two tenants of a plan that both waited throughout the same ten seconds. */
    readonly largestServiceGap: number
  }
  readonly residencyBreaches: number
  readonly violations: readonly { readonly rule: string; readonly detail: string }[]
  /** By plan and tier, named `PLAN/TIER`. */
  readonly classes: readonly GroupReport[]
  readonly plans: readonly GroupReport[]
  readonly countries: readonly GroupReport[]
  readonly tenants: readonly GroupReport[]
  readonly pools: readonly PoolReport[]
  readonly recoveries: readonly Recovery[]
  readonly openAtEnd: number
}

const gpuHourMs = 3_600_000
const tenantsShown = 50

export function reportOf(outcome: Outcome): Report {
  const { scenario, recorder, fleet } = outcome
  const { tallies } = recorder
  const total = new Tally()
  for (const tally of tallies) total.addAll(tally)
  const measuredMs = scenario.duration - scenario.warmUp
  const pools = fleet.pools.map(({ name, spec, inFlightMs, upMs }) => ({
    name,
    subProcessor: spec.subProcessor,
    country: spec.country,
    replicas: spec.replicas,
    gpus: spec.replicas * spec.gpus,
    utilisation: upMs === 0 ? 0 : inFlightMs / (upMs * spec.concurrencyMax),
    availability: upMs / (spec.replicas * measuredMs),
    costUsd: spec.usdPerGpuHour === undefined ? null : (spec.usdPerGpuHour * spec.gpus * upMs) / gpuHourMs,
  }))
  const costUsd = pools.reduce<number | null>(
    (sum, pool) => (sum === null || pool.costUsd === null ? null : sum + pool.costUsd),
    0,
  )
  const byPlan = grouped(outcome, tallies, ({ plan }) => plan)
  byPlan.sort((a, b) => (scenario.plans[b.name]?.priority ?? 0) - (scenario.plans[a.name]?.priority ?? 0))
  return {
    name: scenario.name,
    seed: scenario.seed,
    digest: outcome.digest,
    simulatedSeconds: scenario.duration / 1_000,
    requests: total.offered,
    served: share(total.served, total.offered),
    good: share(total.good, total.offered),
    goodput: share(total.goodTokens, total.wantedTokens),
    goodTokens: total.goodTokens,
    wantedTokens: total.wantedTokens,
    wastedTokens: total.wastedTokens,
    cachedShare: share(total.cachedTokens, total.inputTokens),
    firstTokenMs: percentiles(total.firstTokenMs),
    waitMs: percentiles(total.waitMs),
    refused: Object.fromEntries(total.refusals),
    attemptFailures: Object.fromEntries(recorder.attemptFailures),
    attemptsPerRequest: {
      mean: share(recorder.attempts, recorder.admitted),
      worstSecond: worstRatio(recorder.attemptsBySecond.values, recorder.admittedBySecond.values),
    },
    costUsd,
    usdPerMillionGoodTokens: costUsd === null ? null : (costUsd / Math.max(1, total.goodTokens)) * 1e6,
    fairness: { jain: jain(tallies), largestServiceGap: recorder.gap.largest },
    residencyBreaches: recorder.residencyBreaches,
    violations: outcome.violations,
    classes: byPlan.flatMap(({ name }) =>
      recorder.classes
        .filter(({ plan }) => plan === name)
        .map(({ tier, tallies: ofClass }) => groupReport(`${name}/${tier}`, ofClass)),
    ),
    plans: byPlan,
    countries: grouped(outcome, tallies, ({ country }) => country),
    tenants: grouped(outcome, tallies, ({ id }) => id)
      .sort((a, b) => b.offered - a.offered)
      .slice(0, tenantsShown),
    pools,
    recoveries: recoveriesOf(scenario.faults, recorder.offeredBySecond, recorder.goodBySecond),
    openAtEnd: outcome.openAtEnd,
  }
}

/** Curves of a run, for a page. Times in seconds. */
export interface Timeline {
  readonly binSeconds: number
  readonly offeredTokensPerSecond: readonly number[]
  readonly goodTokensPerSecond: readonly { readonly plan: string; readonly values: readonly number[] }[]
  readonly firstTokenMs: readonly { readonly p50: number; readonly p95: number; readonly count: number }[]
  readonly waiting: readonly number[]
  readonly refusalsPerSecond: readonly number[]
  readonly utilisation: readonly { readonly pool: string; readonly values: readonly number[] }[]
  readonly faults: readonly { readonly name: string; readonly startSeconds: number; readonly endSeconds: number }[]
}

export function timelineOf({ scenario, recorder, utilisation, fleet }: Outcome): Timeline {
  const perSecond = (values: Float64Array) => [...values].map((value) => (value / recorder.binMs) * 1_000)
  return {
    binSeconds: recorder.binMs / 1_000,
    offeredTokensPerSecond: perSecond(recorder.offeredTokens.values),
    goodTokensPerSecond: [...recorder.goodTokens].map(([plan, { values }]) => ({ plan, values: perSecond(values) })),
    firstTokenMs: recorder.firstTokens.map((histogram) => ({
      p50: histogram.atShare(0.5),
      p95: histogram.atShare(0.95),
      count: histogram.count,
    })),
    waiting: [...recorder.waiting.values],
    refusalsPerSecond: perSecond(recorder.refusals.values),
    utilisation: fleet.pools.map(({ name, index }) => ({ pool: name, values: utilisation[index] ?? [] })),
    faults: scenario.faults.map((fault) => ({
      name: nameOf(fault),
      startSeconds: fault.at / 1_000,
      endSeconds: (fault.at + fault.for) / 1_000,
    })),
  }
}

function grouped(
  { tenants }: Outcome,
  tallies: readonly Tally[],
  nameOfTenant: (tenant: Outcome['tenants'][number]) => string,
): GroupReport[] {
  const groups = Map.groupBy(tenants.keys(), (index) => nameOfTenant(tenants[index] as Outcome['tenants'][number]))
  return [...groups].map(([name, members]) =>
    groupReport(
      name,
      members.map((index) => tallies[index] as Tally),
    ),
  )
}

function groupReport(name: string, tallies: readonly Tally[]): GroupReport {
  const tally = new Tally()
  for (const one of tallies) tally.addAll(one)
  return {
    name,
    tenants: tallies.length,
    offered: tally.offered,
    served: share(tally.served, tally.offered),
    good: share(tally.good, tally.offered),
    goodput: share(tally.goodTokens, tally.wantedTokens),
    firstTokenMs: percentiles(tally.firstTokenMs),
    waitMs: percentiles(tally.waitMs),
    refused: Object.fromEntries(tally.refusals),
    cut: tally.cut,
    gaveUp: tally.gaveUp,
    wastedTokens: tally.wastedTokens,
    jain: jain(tallies),
  }
}

function percentiles(histogram: { atShare(at: number): number; readonly max: number }): Percentiles {
  return { p50: histogram.atShare(0.5), p95: histogram.atShare(0.95), p99: histogram.atShare(0.99), max: histogram.max }
}

function share(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole
}

function worstRatio(above: Float64Array, below: Float64Array): number {
  let worst = 0
  above.forEach((value, at) => {
    if ((below[at] as number) > 0) worst = Math.max(worst, value / (below[at] as number))
  })
  return worst
}

function jain(tallies: readonly Tally[]): number {
  const shares = tallies
    .filter(({ wantedTokens }) => wantedTokens > 0)
    .map(({ inputTokens, outputTokens, wantedTokens }) => (inputTokens + outputTokens) / wantedTokens)
  const sum = shares.reduce((total, value) => total + value, 0)
  const squares = shares.reduce((total, value) => total + value * value, 0)
  return squares === 0 ? 1 : (sum * sum) / (shares.length * squares)
}
