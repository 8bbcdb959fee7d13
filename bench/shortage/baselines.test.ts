import { describe, expect, test } from 'vitest'
import { worldOf } from '../../src/cli/simulate/world.ts'
import type { Scenario } from '../../src/simulator/scenario-schema.ts'
import { simulate } from '../../src/simulator/simulation.ts'
import { openHighs } from './highs.ts'
import { Measure } from './measure.ts'
import { perfectValue } from './perfect.ts'
import { baselines, deciderOf, strictName } from './policies.ts'
import { lossTerms, scenarioDir, vendorLoss } from './scenario.ts'

const highs = await openHighs()

/** The scenario in short: nine minutes, of which the vendor is gone for three. */
function short(): Scenario {
  const scenario = vendorLoss(1, 1)
  const [loss] = scenario.faults
  return {
    ...scenario,
    duration: 540_000,
    warmUp: 60_000,
    faults: [{ ...(loss as Scenario['faults'][number]), at: 120_000, for: 180_000 }],
  }
}

const scenario = short()
const world = worldOf(scenario, scenarioDir)

function outcomeOf(policy: string) {
  const measure = new Measure(scenario)
  const outcome = simulate(scenario, { ...world, ...deciderOf(policy, scenario), observer: measure })
  const value = measure.value(lossTerms.valuePerToken)
  return { measure, outcome, value }
}

describe('the baselines', { timeout: 60_000 }, () => {
  const strict = outcomeOf(strictName)
  const bound = perfectValue(highs, scenario, world, strict.measure.offers, lossTerms)

  test.each(Object.keys(baselines))('%s keeps the law and gets no more than there is', (policy) => {
    const { measure, outcome, value } = outcomeOf(policy)
    expect(outcome.recorder.residencyBreaches).toBe(0)
    const broken = outcome.violations.map(({ rule }) => rule)
    expect(broken.filter((rule) => rule === 'every request ends once' || rule === 'conservation')).toEqual([])
    expect(measure.offers.length, 'all see the same demand').toBe(strict.measure.offers.length)
    expect(value).toBeGreaterThan(0)
    expect(value).toBeLessThanOrEqual(bound)
  })

  test('strict class with deadline drop serves the highest class throughout, and fills no place above its slots', () => {
    const { offered, good } = strict.measure.plans.get('enterprise') ?? { offered: 0, good: 0 }
    expect(good / offered).toBeGreaterThan(0.99)
    expect(strict.outcome.violations).toEqual([])
  })
})
