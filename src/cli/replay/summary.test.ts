import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { percentile, percentilesOf, summarise } from './summary.ts'
import { replayResult as result } from './testing.ts'

const prices = new Map([['chat-large/microsoft-gb', { input: 1, cachedInput: 0.5, output: 4 }]])

describe('percentiles', () => {
  test('are values that were measured, by nearest rank', () => {
    const sorted = [15, 20, 35, 40, 50]
    expect([5, 30, 40, 50, 100].map((percent) => percentile(sorted, percent))).toEqual([15, 20, 20, 35, 50])
    expect(percentilesOf(Array.from({ length: 1_000 }, (_, i) => 1_000 - i))).toEqual({
      p50: 500,
      p90: 900,
      p95: 950,
      p99: 990,
      max: 1_000,
    })
    expect(percentilesOf([])).toBeNull()
  })

  test('are the smallest value that so many do not exceed, whatever the values', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ noNaN: true }), { minLength: 1 }),
        fc.integer({ min: 1, max: 100 }),
        (values, percent) => {
          const sorted = [...values].sort((a, b) => a - b)
          const found = percentile(sorted, percent)
          const notAbove = (limit: number) => sorted.filter((value) => value <= limit).length
          expect(notAbove(found) * 100).toBeGreaterThanOrEqual(percent * sorted.length)
          const below = sorted.findLast((value) => value < found)
          if (below !== undefined) expect(notAbove(below) * 100).toBeLessThan(percent * sorted.length)
        },
      ),
    )
  })
})

describe('the summary of a replay', () => {
  test('tells what failed before the first byte from what was cut after it', () => {
    const { ok, successRate, failedBeforeFirstByte, failedAfterFirstByte } = summarise(
      [
        result(),
        result({ status: 503, code: 'unavailable', ended: 'refused', contentEvents: 0 }),
        result({ status: 502, code: null, ended: 'refused', contentEvents: 0 }),
        result({ status: 0, ended: 'unreachable', contentEvents: 0 }),
        result({ code: 'upstream_stream_cut', ended: 'cut-with-error-event', contentEvents: 3 }),
        // The role had come, and no content yet.
        result({ ended: 'cut-without', contentEvents: 0 }),
      ],
      prices,
    )
    expect({ ok, successRate }).toEqual({ ok: 1, successRate: 1 / 6 })
    expect(failedBeforeFirstByte).toEqual({ unavailable: 1, 'status 502': 1, unreachable: 1 })
    expect(failedAfterFirstByte).toEqual({ upstream_stream_cut: 1, 'cut-without': 1 })
  })

  test('gives the time per token by the tokens the vendor counted, not by the events they came in', () => {
    const usage = { promptTokens: 1, cachedTokens: 0, completionTokens: 19 }
    expect(summarise([result({ usage })], prices).tpotMs?.p50).toBe(50)
    expect(summarise([result({ usage: null })], prices).tpotMs?.p50).toBe(100)
  })

  test('gives the cost of whole answers, and none where a price is not known', () => {
    expect(summarise([result(), result()], prices).costUsd).toBeCloseTo((2 * (40 + 30 + 40)) / 1e6, 12)
    expect(summarise([result(), result({ endpoint: 'chat-large/other' })], prices).costUsd).toBeNull()
    expect(summarise([result(), result({ endpoint: 'chat-large/other', ended: 'cut-without' })], prices).costUsd).toBe(
      110 / 1e6,
    )
  })

  test('shares the answers out over clouds and countries', () => {
    const american = { endpoint: 'chat-large/aws-us', country: 'US' }
    const refused = { ...american, status: 503, ended: 'refused' } as const
    const { byCloud, byCountry, attempts } = summarise(
      [result(american), result({ attempts: 2 }), result(), result(refused)],
      prices,
    )
    expect(byCloud).toEqual([
      { name: 'microsoft-gb', requests: 2, share: 2 / 3 },
      { name: 'aws-us', requests: 1, share: 1 / 3 },
    ])
    expect(byCountry.map(({ name }) => name)).toEqual(['GB', 'US'])
    expect(attempts).toEqual({ 1: 3, 2: 1 })
  })

  test('counts time from the first request that was due to the last end', () => {
    const { seconds, requestsPerSecond } = summarise([result(), result({ sentMs: 2_000, endMs: 3_000 })], prices)
    expect({ seconds, requestsPerSecond }).toEqual({ seconds: 4, requestsPerSecond: 0.5 })
  })

  test('holds half a million requests', () => {
    const many = Array.from({ length: 500_000 }, (_, index) => result({ index, sentMs: index, ttftMs: index }))
    expect(summarise(many, prices)).toMatchObject({ requests: 500_000, ttftMs: { p50: 249_999, max: 499_999 } })
  })

  test('of nothing is empty', () => {
    expect(summarise([], prices)).toMatchObject({ requests: 0, successRate: 0, seconds: 0, ttftMs: null, byCloud: [] })
  })
})
