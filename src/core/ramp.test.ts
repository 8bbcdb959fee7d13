import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RampLimit } from './ramp.ts'
import { Desk, endpointOf } from './testing.ts'

const minuteMs = 60_000

/** Sends all that is wanted and fits, each minute in portions of 100; gives what was sent in each minute. */
function sentEachMinute(ramp: RampLimit, wantedEachMinute: readonly number[]): number[] {
  return wantedEachMinute.map((wanted, minute) => {
    let sent = 0
    for (let second = 0; second < 60; second++) {
      const nowMs = minute * minuteMs + second * 1_000
      while (sent < (wanted * (second + 1)) / 60 && ramp.fits(100, nowMs)) {
        ramp.take(100, nowMs)
        sent += 100
      }
    }
    return sent
  })
}

const sum = (list: readonly number[]) => list.reduce((all, one) => all + one, 0)

describe('a tier whose vendor wants traffic to grow slowly', () => {
  test('is sent so many tokens a minute at once, and two fifths more each quarter of an hour', () => {
    const sent = sentEachMinute(new RampLimit(10_000, 0), new Array(60).fill(100_000))
    const quarters = [0, 15, 30, 45].map((from) => sum(sent.slice(from, from + 15)) / 15)
    // A full bucket at the start lets one minute's worth more through.
    expect(quarters[0]).toBeLessThanOrEqual((10_000 * 16) / 15)
    for (const [n, factor] of [1, 1.4, 1.96, 2.744].entries()) {
      if (n === 0) continue
      expect(quarters[n]).toBeGreaterThan(0.97 * factor * 10_000)
      expect(quarters[n]).toBeLessThanOrEqual(1.01 * factor * 10_000)
    }
  })

  test('begins again where it was sent nothing for a while', () => {
    const ramp = new RampLimit(10_000, 0)
    const wanted = [...new Array(45).fill(100_000), ...new Array(31).fill(0), ...new Array(10).fill(100_000)]
    const sent = sentEachMinute(ramp, wanted)
    expect(sum(sent.slice(-9)) / 9).toBeLessThanOrEqual(10_100)
  })

  test('never grows by more than two fifths from one quarter of an hour to the next', () => {
    const demand = fc.array(fc.integer({ min: 0, max: 60_000 }), { minLength: 4, maxLength: 6 })
    fc.assert(
      fc.property(demand, (perQuarter) => {
        const sent = sentEachMinute(
          new RampLimit(5_000, 0),
          perQuarter.flatMap((wanted) => new Array(15).fill(wanted)),
        )
        for (let from = 15; from + 15 <= sent.length; from += 15) {
          const before = sum(sent.slice(from - 15, from))
          const after = sum(sent.slice(from, from + 15))
          // What is saved up in the bucket, a minute's worth at most, comes on top.
          const perMinute = Math.max(5_000, (1.4 * before) / 15)
          expect(after).toBeLessThanOrEqual(16 * perMinute + 100)
        }
      }),
      { seed: 20_261_125, numRuns: 40 },
    )
  })

  test('is passed over for the next place while it may not be sent more', () => {
    const desk = new Desk(
      [
        endpointOf('priority', {
          concurrencyMax: 50,
          rampFromTokensPerMinute: 1_000,
          prices: { input: 1, cachedInput: 1, output: 1 },
        }),
        endpointOf('standard', { concurrencyMax: 50, prices: { input: 2, cachedInput: 2, output: 2 } }),
      ],
      'spill-over',
    )
    const places = Array.from({ length: 8 }, () => {
      desk.arrive({ tokens: { input: 200, cachedInput: 0, output: 0 } })
      return desk.attempt.endpoint.id
    })
    expect(places.filter((place) => place === 'priority').length).toBeLessThanOrEqual(5)
    expect(places).toContain('standard')
  })
})
