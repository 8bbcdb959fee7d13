import { describe, expect, test } from 'vitest'
import { run, scenarioWith, smallReplica } from './testing.ts'
import { complaintsOf, shrink, universeOf } from './universe.ts'

const pool = (subProcessor: string, country: string) => ({
  model: 'chat',
  subProcessor,
  country,
  replicas: 3,
  concurrencyMax: 8,
  latency: smallReplica,
})

const scenario = scenarioWith({
  duration: '10m',
  clients: { retries: 2 },
  pools: { a: pool('one', 'GB'), b: pool('two', 'NL'), c: pool('three', 'US') },
  demand: [
    { kind: 'steady', model: 'chat', tenants: { acme: 1 }, requestsPerSecond: 10, input: 500, output: { mean: 100 } },
  ],
})

describe('universes', { timeout: 60_000 }, () => {
  test('differ from each other, and one is always the same', () => {
    expect(universeOf(scenario, 4)).toEqual(universeOf(scenario, 4))
    expect(universeOf(scenario, 4).faults).not.toEqual(universeOf(scenario, 5).faults)
    const kinds = new Set(
      Array.from({ length: 100 }, (_, seed) => universeOf(scenario, seed).faults.map(({ kind }) => kind)).flat(),
    )
    expect(kinds.size).toBe(8)
  })

  test.each(Array.from({ length: 12 }, (_, seed) => seed + 1))('every rule holds in universe %i', (seed) => {
    expect(
      complaintsOf(run(universeOf(scenario, seed))).filter((complaint) => !complaint.startsWith('recovery')),
    ).toEqual([])
  })

  test('one that fails is shrunk to the fault that makes it fail', () => {
    const universe = {
      ...universeOf(scenario, 1),
      faults: [4, 5, 6].flatMap((seed) => universeOf(scenario, seed).faults),
    }
    const guilty = universe.faults[2]
    const smallest = shrink(universe, ({ faults }) =>
      faults.some((fault) => fault.kind === guilty?.kind && fault.at === guilty.at),
    )
    expect(smallest.faults).toHaveLength(1)
    expect(smallest.faults[0]).toMatchObject({ kind: guilty?.kind, at: guilty?.at })
    expect(smallest.faults[0]?.for).toBeLessThan(2_000)
    expect(smallest.duration).toBeLessThan(universe.duration)
  })
})
