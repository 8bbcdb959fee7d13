import type { Highs } from 'highs'
import { worldOf } from '../../src/cli/simulate/world.ts'
import { recoveriesOf } from '../../src/simulator/recovery.ts'
import { reportOf } from '../../src/simulator/report.ts'
import type { Scenario } from '../../src/simulator/scenario-schema.ts'
import { simulate, type World } from '../../src/simulator/simulation.ts'
import { Measure, type Offer, tailMs } from './measure.ts'
import { offeredLoad, perfectValue } from './perfect.ts'
import { deciderOf } from './policies.ts'
import { lossTerms, scenarioDir, vendorLoss } from './scenario.ts'

/** One policy under one mapping and seed. */
export interface PolicyRun {
  readonly policy: string
  readonly mapping: number
  readonly seed: number
  readonly value: number
  readonly bound: number
  /** What was asked for over what the whole fleet can do: before the surge and in it. */
  readonly loads: readonly [before: number, surge: number]
  /** Good output tokens over those asked for, by plan. */
  readonly goodput: Readonly<Record<string, number>>
  /** Tries at vendors for each request that got one: on average, and in the worst second. */
  readonly attemptsMean: number
  readonly attemptsWorstSecond: number
  /** After each fault; null where it was not back before the run's end. */
  readonly recoverySeconds: readonly (number | null)[]
  readonly chainSecondsMax: number
  readonly residencyBreaches: number
  readonly violations: readonly string[]
  readonly digest: string
}

/** Every policy under one mapping and seed, each in the same world with the same demand, and the bound over it. */
export function runAll(highs: Highs, mapping: number, seed: number, policies: readonly string[]): PolicyRun[] {
  const scenario = vendorLoss(mapping, seed)
  const world = worldOf(scenario, scenarioDir)
  let bound: number | undefined
  let loads: PolicyRun['loads'] | undefined
  return policies.map((policy) => {
    const measure = new Measure(scenario)
    const outcome = simulate(scenario, { ...world, ...deciderOf(policy, scenario), observer: measure })
    bound ??= perfectValue(highs, scenario, world, measure.offers, lossTerms)
    loads ??= loadsOf(scenario, world, measure.offers)
    const { attemptsPerRequest, residencyBreaches, violations, digest } = reportOf(outcome)
    const value = measure.value(lossTerms.valuePerToken)
    return {
      policy,
      mapping,
      seed,
      value,
      bound,
      loads,
      goodput: Object.fromEntries([...measure.plans].map(([plan, { good, offered }]) => [plan, good / offered])),
      attemptsMean: attemptsPerRequest.mean,
      attemptsWorstSecond: attemptsPerRequest.worstSecond,
      recoverySeconds: recoveriesOf(scenario.faults, measure.offeredBySecond, measure.goodBySecond).map(
        ({ recoverySeconds }) => recoverySeconds ?? null,
      ),
      chainSecondsMax: measure.chainMsMax / 1_000,
      residencyBreaches,
      violations: violations.map(({ rule, detail }) => `${rule}: ${detail}`),
      digest,
    }
  })
}

function loadsOf(scenario: Scenario, world: World, offers: readonly Offer[]): PolicyRun['loads'] {
  const surge = scenario.faults.find(({ kind }) => kind === 'surge') ?? { at: scenario.duration, for: 0 }
  const loadOf = (fromMs: number, toMs: number) => offeredLoad(scenario, world, offers, fromMs, toMs)
  return [
    loadOf(scenario.warmUp, surge.at),
    loadOf(surge.at, Math.min(surge.at + surge.for, scenario.duration - tailMs)),
  ]
}
