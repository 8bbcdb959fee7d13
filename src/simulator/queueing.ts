import { type Source, sourcesOf } from './demand.ts'
import type { Scenario } from './scenario-schema.ts'
import { tenantsOf } from './tenants.ts'
import { oneTokenPerMs, scenarioWith } from './testing.ts'

const meanServiceMs = 10_000

/** For tests and benches: M/M/k, with the scheduler's own queue as its line. Poisson arrivals, exponential service. */
export function queueScenario({
  servers,
  load,
  hours,
  warmUpHours = 0,
  seed,
}: {
  readonly servers: number
  readonly load: number
  readonly hours: number
  readonly warmUpHours?: number
  readonly seed: number
}): Scenario {
  return scenarioWith({
    seed,
    duration: `${hours}h`,
    warmUp: `${warmUpHours}h`,
    gateway: { country: 'GB', queue: '100d', queueLengthMax: 1_000_000, firstByte: '100d', streamIdle: '100d' },
    clients: { patience: '100000d' },
    plans: { team: { priority: 10, firstToken: '100d' } },
    pools: {
      one: {
        model: 'chat',
        subProcessor: 'vendor',
        country: 'GB',
        roundTrip: '0s',
        replicas: 1,
        concurrencyMax: servers,
        latency: oneTokenPerMs,
      },
    },
    demand: [
      {
        kind: 'steady',
        model: 'chat',
        tenants: { acme: 1 },
        requestsPerSecond: (1_000 * servers * load) / meanServiceMs,
        input: 1,
        output: { mean: meanServiceMs + 1 },
      },
    ],
  })
}

/**
 * How long each of the scenario's arrivals waits in line, ms, by the recursion of Kiefer and Wolfowitz (1955): the next
 * one goes to the server that is free first. Needs no simulator. Leaves out who came in the warm-up or has not begun at
 * the end.
 */
export function* waitsByRecursion(scenario: Scenario, servers: number): Generator<number> {
  const { duration, warmUp } = scenario
  const source = sourcesOf(scenario, tenantsOf(scenario), { traces: {}, clients: {} })[0] as Source
  const freeAtMs = new Float64Array(servers)
  while (source.nextMs < duration) {
    const atMs = source.nextMs
    const startMs = Math.max(atMs, freeAtMs[0] as number)
    // The first token is there at once, each further one takes a millisecond.
    const endMs = startMs + source.take().output - 1
    let at = 0
    for (; at + 1 < servers && (freeAtMs[at + 1] as number) < endMs; at++) freeAtMs[at] = freeAtMs[at + 1] as number
    freeAtMs[at] = endMs
    if (startMs >= warmUp && startMs < duration) yield startMs - atMs
  }
}

/** Mean wait of M/M/k, ms, by Erlang's formula C. */
export function meanWaitMs(servers: number, load: number): number {
  const offered = servers * load
  let term = 1
  let sum = 0
  for (let k = 0; k < servers; k++) {
    sum += term
    term *= offered / (k + 1)
  }
  const all = term / (1 - load)
  return ((all / (sum + all)) * meanServiceMs) / (servers * (1 - load))
}
