import { describe, expect, test } from 'vitest'
import { run, scenarioWith, smallReplica } from '../../src/simulator/testing.ts'
import { type Cell, valueBound } from './bound.ts'
import { fullReplica, kvTokensOf, workMs } from './capacity.ts'
import { openHighs } from './highs.ts'
import { bootstrap } from './statistics.ts'

const highs = await openHighs()
const cell = (parts: Partial<Cell>): Cell => ({
  bucket: 0,
  valuePerToken: 1,
  tokens: 100,
  workMsPerToken: new Map([[0, 1]]),
  ...parts,
})
const pool = (...workMs: number[]) => ({ workMs: Float64Array.from(workMs) })

describe('the value of perfect information', () => {
  test('is all that was asked for, where there is room for it', () => {
    expect(valueBound(highs, [cell({ valuePerToken: 3 })], [pool(1_000)])).toBeCloseTo(300)
  })

  test('gives what is scarce to what is worth most', () => {
    const cells = [cell({ valuePerToken: 10, tokens: 80 }), cell({ valuePerToken: 2 })]
    expect(valueBound(highs, cells, [pool(100)])).toBeCloseTo(80 * 10 + 20 * 2)
  })

  test('sends nobody where they may not go', () => {
    const cells = [cell({ workMsPerToken: new Map([[1, 1]]) }), cell({ valuePerToken: 5, tokens: 10 })]
    expect(valueBound(highs, cells, [pool(1_000), pool(30)])).toBeCloseTo(30 + 50)
  })

  test('serves a request within two buckets of when it came, not earlier and not later', () => {
    const asked = cell({ bucket: 1 })
    expect(valueBound(highs, [asked], [pool(1_000, 0, 0, 0, 1_000)])).toBeCloseTo(0)
    expect(valueBound(highs, [asked], [pool(0, 20, 30, 40, 1_000)])).toBeCloseTo(90)
  })
})

test('a full replica of the simulator does as much as its work adds up to', { timeout: 60_000 }, () => {
  const size = { input: 400, output: 100 }
  const concurrencyMax = 8
  const outcome = run(
    scenarioWith({
      duration: '5m',
      warmUp: '1m',
      pools: {
        a: { model: 'chat', subProcessor: 'one', country: 'GB', replicas: 1, concurrencyMax, latency: smallReplica },
      },
      demand: [{ kind: 'steady', model: 'chat', tenants: { acme: 1 }, requestsPerSecond: 30, ...size }],
    }),
  )
  const [{ networkMs } = { networkMs: 0 }] = outcome.fleet.pools
  const replica = fullReplica(smallReplica, concurrencyMax, { ...size, kvTokens: kvTokensOf(size) }, networkMs)
  const answeredPerSecond = (outcome.recorder.tallies[0]?.outputTokens ?? 0) / size.output / 240
  // Those that were born in the first minute are not counted, though some were served in the rest.
  expect((answeredPerSecond * workMs(replica, size, networkMs)) / 1_000).toBeGreaterThan(0.95)
  expect((answeredPerSecond * workMs(replica, size, networkMs)) / 1_000).toBeLessThan(1.005)
})

test('a bootstrap interval holds the mean, and is the same each time', () => {
  const values = Array.from({ length: 40 }, (_, at) => at % 5)
  const { mean, low, high } = bootstrap(values)
  expect([mean, low < 2, high > 2, high - low < 1]).toEqual([2, true, true, true])
  expect(bootstrap(values)).toEqual({ mean, low, high })
})
