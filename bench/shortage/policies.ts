import type { Random } from '../../src/core/random.ts'
import { Scheduler } from '../../src/core/scheduler.ts'
import type { Scenario } from '../../src/simulator/scenario-schema.ts'
import type { Decider, World } from '../../src/simulator/simulation.ts'
import { tenantsOf } from '../../src/simulator/tenants.ts'
import { KeyLimits } from './baselines/key-limits.ts'
import { leastConnections } from './baselines/least-connections.ts'
import { Line } from './baselines/line.ts'
import { PeakEwma } from './baselines/peak-ewma.ts'
import { Relay } from './baselines/relay.ts'
import { RoundRobin } from './baselines/round-robin.ts'
import { WeightedRandom } from './baselines/weighted-random.ts'

export const oursName = 'Spillway'
/** What the promise that no class starves costs: the same scheduler without it. */
const starvingName = 'Spillway, no least share'
/** The one to fear: the simplest that does what matters. */
export const strictName = 'strict class + deadline drop'

/** By name: what decides in place of the scheduler. */
export const baselines: Readonly<Record<string, (scenario: Scenario, attemptsMax: number, random: Random) => Decider>> =
  {
    'one-vendor round robin': (scenario, attemptsMax) =>
      new Relay(new RoundRobin(largestVendorOf(scenario)), attemptsMax),
    'round robin over all': (_scenario, attemptsMax) => new Relay(new RoundRobin(), attemptsMax),
    'least connections': (_scenario, attemptsMax) => new Relay(leastConnections, attemptsMax),
    'weighted random, cooldown': (_scenario, attemptsMax, random) => new Relay(new WeightedRandom(random), attemptsMax),
    'P2C peak EWMA': (_scenario, attemptsMax, random) => new Relay(new PeakEwma(random), attemptsMax),
    'per-key limits only': (scenario, attemptsMax) => new Relay(new KeyLimits(keyLimitOf(scenario)), attemptsMax),
    'static priority FIFO': (_scenario, attemptsMax) => new Line(attemptsMax),
    [strictName]: ({ plans }, attemptsMax) =>
      new Line(attemptsMax, Math.min(...Object.values(plans).map(({ firstToken }) => firstToken))),
  }

/** Every policy there is, ours first. */
export const policyNames = [oursName, starvingName, ...Object.keys(baselines)]

/** What a simulation takes to run that policy; nothing for ours, which it runs by itself. */
export function deciderOf(policy: string, scenario: Scenario): Pick<World, 'decider'> {
  if (policy === starvingName)
    return { decider: (bounds, random) => new Scheduler({ ...bounds, leastShare: 0 }, random) }
  const make = baselines[policy]
  if (make === undefined) return {}
  return { decider: ({ attemptsMax }, random) => make(scenario, attemptsMax, random) }
}

function largestVendorOf({ pools }: Scenario): string {
  const slots = new Map<string, number>()
  for (const { subProcessor, replicas, concurrencyMax } of Object.values(pools))
    slots.set(subProcessor, (slots.get(subProcessor) ?? 0) + replicas * concurrencyMax)
  return [...slots].reduce((largest, one) => (one[1] > largest[1] ? one : largest))[0]
}

/** What a key asks on an ordinary day, and a quarter more. */
const keyHeadroom = 1.25
/** Requests a minute of the recorded demand (14,176 in 40 minutes). */
const recordedPerMinute = 354

function keyLimitOf(scenario: Scenario): (tenant: string) => number {
  const [demand] = scenario.demand
  if (demand?.kind !== 'trace') throw new Error('the limits of keys are made for a demand that is a trace')
  const total = Object.values(demand.tenants).reduce((sum, weight) => sum + weight, 0)
  const limits = new Map(
    tenantsOf(scenario).map(({ id, group }) => {
      const share = (demand.tenants[group] ?? 0) / total / (scenario.tenants[group]?.count ?? 1)
      return [id, Math.ceil(share * recordedPerMinute * demand.speed * keyHeadroom)]
    }),
  )
  return (tenant) => limits.get(tenant) ?? 0
}
