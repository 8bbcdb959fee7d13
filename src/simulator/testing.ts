import { eligibilityOf } from '../core/request.ts'
import type { LatencyModel } from './latency.ts'
import { type Scenario, scenarioSchema } from './scenario-schema.ts'
import { type Law, type Outcome, simulate } from './simulation.ts'

/** For tests: the law told anew in five lines, so that a test of the simulator needs no register. */
export const plainLaw: Law = (endpoints, version) => {
  const known = new Map<string, ReturnType<typeof eligibilityOf>>()
  return ({ countries, subProcessors }, model) => {
    const key = JSON.stringify([countries, subProcessors, model])
    const allowed = endpoints.filter(
      (endpoint) =>
        endpoint.model === model &&
        (countries === 'any' || countries.includes(endpoint.country)) &&
        (subProcessors === 'any' || subProcessors.includes(endpoint.subProcessor)),
    )
    const word =
      known.get(key) ??
      eligibilityOf(
        allowed.map(({ index }) => index),
        endpoints.length,
        version,
      )
    known.set(key, word)
    return word
  }
}

/** For tests: a scenario with one tenant, one plan and one model, and what `parts` says otherwise. */
export function scenarioWith(parts: Readonly<Record<string, unknown>>): Scenario {
  return scenarioSchema.parse({
    name: 'a test',
    duration: '10m',
    gateway: { country: 'GB' },
    models: { chat: {} },
    plans: { team: { priority: 10 } },
    tenants: { acme: { plan: 'team', country: 'GB', countries: 'any', subProcessors: 'any' } },
    ...parts,
  })
}

/** For tests: every pool must have a latency of its own. */
export function run(scenario: Scenario): Outcome {
  const latencies = Object.fromEntries(
    Object.entries(scenario.pools).map(([name, { latency }]) => [name, latency as LatencyModel]),
  )
  return simulate(scenario, { law: plainLaw, files: { traces: {}, clients: {} }, latencies })
}

/** Nothing but a fixed time for each token, so that the length of an answer is its service time. */
export const oneTokenPerMs: LatencyModel = {
  first: { base: 0, perToken: 0, perRequest: 0, perTokenAndRequest: 0 },
  each: { base: 1, perRequest: 0, perKvToken: 0 },
}

/** A small real-looking replica: 50 ms to the first token of a short prompt, 10 ms for each further one. */
export const smallReplica: LatencyModel = {
  first: { base: 40, perToken: 0.02, perRequest: 1, perTokenAndRequest: 0.001 },
  each: { base: 8, perRequest: 0.1, perKvToken: 0.00001 },
}
