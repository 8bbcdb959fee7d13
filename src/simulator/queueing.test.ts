import { describe, expect, test } from 'vitest'
import { oneTokenPerMs, run, scenarioWith } from './testing.ts'

const meanServiceMs = 10_000

/** Poisson arrivals, exponential service, `slots` servers behind the scheduler's own queue. */
function queue(slots: number, load: number, hours: number, seed: number) {
  return run(
    scenarioWith({
      seed,
      duration: `${hours}h`,
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
          concurrencyMax: slots,
          latency: oneTokenPerMs,
        },
      },
      demand: [
        {
          kind: 'steady',
          model: 'chat',
          tenants: { acme: 1 },
          requestsPerSecond: (1_000 * slots * load) / meanServiceMs,
          input: 1,
          output: { mean: meanServiceMs + 1 },
        },
      ],
    }),
  )
}

/** Mean wait of M/M/k in units of the mean service time, by Erlang's formula C. */
function meanWait(slots: number, load: number): number {
  const offered = slots * load
  let term = 1
  let sum = 0
  for (let k = 0; k < slots; k++) {
    sum += term
    term *= offered / (k + 1)
  }
  const all = term / (1 - load)
  return all / (sum + all) / (slots * (1 - load))
}

describe('the simulator against queueing theory', () => {
  // Several runs with their own chance each: the mean of correlated waits settles slowly.
  test.each([
    [1, 0.5, 3_500],
    [4, 0.7, 1_000],
  ])(
    '%i servers at a load of %d: the mean wait is that of M/M/k within one percent',
    { timeout: 120_000 },
    (slots, load, hours) => {
      const outcomes = [1, 2].map((seed) => queue(slots, load, hours, seed))
      const waits = outcomes.map(({ recorder }) => recorder.tallies[0]?.waitMs)
      const count = waits.reduce((sum, histogram) => sum + (histogram?.count ?? 0), 0)
      const mean = waits.reduce((sum, histogram) => sum + (histogram?.mean ?? 0) * (histogram?.count ?? 0), 0) / count
      expect(Math.abs(mean / (meanWait(slots, load) * meanServiceMs) - 1)).toBeLessThan(0.01)
    },
  )

  test('Little: requests in service on average are their rate times how long they stay', () => {
    const hours = 200
    const { fleet, recorder } = queue(8, 0.6, hours, 3)
    const [tally] = recorder.tallies
    const inService = (fleet.pools[0]?.inFlightMs ?? 0) / (hours * 3_600_000)
    const perMs = (tally?.served ?? 0) / (hours * 3_600_000)
    const meanStayMs = (tally?.outputTokens ?? 0) / (tally?.served ?? 1) - 1
    expect(Math.abs(inService / (perMs * meanStayMs) - 1)).toBeLessThan(0.001)
  })
})
