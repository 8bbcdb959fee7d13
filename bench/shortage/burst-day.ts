import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Highs } from 'highs'
import { readScenario } from '../../src/cli/simulate/read-scenario.ts'
import { worldOf } from '../../src/cli/simulate/world.ts'
import { reportOf } from '../../src/simulator/report.ts'
import { simulate } from '../../src/simulator/simulation.ts'
import { Measure } from './measure.ts'
import { type BoundTerms, perfectValue } from './perfect.ts'
import { deciderOf } from './policies.ts'

const dir = fileURLToPath(new URL('../../examples/burst-day', import.meta.url))
/** All tokens are worth the same: the most value is the most work. */
const workTerms: BoundTerms = { bucketMs: 60_000, valuePerToken: { priority: 1, standard: 1 } }

/** One policy through a day of eleven times the usual. */
export interface DayRun {
  readonly policy: string
  readonly seed: number
  /** Of those who pay for priority, from when they first asked, ms. */
  readonly firstTokenMsP95: number
  readonly priorityGoodput: number
  /** What the others got, over what was left for them by a fleet that is never idle while somebody waits. */
  readonly restOfBound: number
  readonly restGoodput: number
  readonly violations: number
}

export function runBurstDay(highs: Highs, policy: string, seed: number): DayRun {
  const scenario = { ...readScenario(path.join(dir, 'scenario.yaml')), seed }
  const world = worldOf(scenario, dir)
  const measure = new Measure(scenario)
  const outcome = simulate(scenario, { ...world, ...deciderOf(policy, scenario), observer: measure })
  const [priority, rest] = ['priority', 'standard'].map((plan) => measure.plans.get(plan) ?? { offered: 0, good: 0 })
  if (priority === undefined || rest === undefined) throw new Error('the day has two plans')
  const { plans, violations } = reportOf(outcome)
  return {
    policy,
    seed,
    firstTokenMsP95: plans.find(({ name }) => name === 'priority')?.firstTokenMs.p95 ?? Number.POSITIVE_INFINITY,
    priorityGoodput: priority.good / priority.offered,
    restOfBound: rest.good / (perfectValue(highs, scenario, world, measure.offers, workTerms) - priority.good),
    restGoodput: rest.good / rest.offered,
    violations: violations.length,
  }
}
