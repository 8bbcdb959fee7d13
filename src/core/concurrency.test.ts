import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FirstTokenLimit, RefusalLimit } from './concurrency.ts'
import { seededRandom } from './random.ts'
import { Desk, endpointOf } from './testing.ts'

describe('the limit learned from refusals', () => {
  test('is all there is while nobody is refused', () => {
    expect(new RefusalLimit().limit(64, 0)).toBe(64)
  })

  test('is 0.7 of what was in flight, and grows by a fiftieth of all each second', () => {
    const learned = new RefusalLimit()
    learned.refused(100, 50, 0, 0)
    expect([0, 1_000, 10_000, 32_500, 60_000].map((nowMs) => learned.limit(100, nowMs))).toEqual([35, 37, 55, 100, 100])
  })

  test('falls once for all that were sent before it fell', () => {
    const learned = new RefusalLimit()
    learned.refused(100, 100, 0, 500)
    for (const startedMs of [0, 200, 499]) learned.refused(100, 90, startedMs, 600)
    expect(learned.limit(100, 500)).toBe(70)
    learned.refused(100, 70, 500, 600)
    expect(learned.limit(100, 600)).toBeCloseTo(49)
  })

  test('is never below one nor above all, and all again after 50 s in peace', () => {
    const refusal = fc.record({
      afterMs: fc.integer({ min: 0, max: 5_000 }),
      inFlight: fc.integer({ min: 1, max: 200 }),
      tookMs: fc.integer({ min: 0, max: 3_000 }),
    })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.array(refusal), (max, refusals) => {
        const learned = new RefusalLimit()
        let nowMs = 0
        for (const { afterMs, inFlight, tookMs } of refusals) {
          nowMs += afterMs
          const before = learned.limit(max, nowMs)
          learned.refused(max, inFlight, nowMs - tookMs, nowMs)
          const after = learned.limit(max, nowMs)
          expect(after).toBeGreaterThanOrEqual(1)
          expect(after).toBeLessThanOrEqual(Math.max(1, before))
        }
        expect(learned.limit(max, nowMs + 50_000)).toBe(max)
      }),
      { seed: 20_261_125 },
    )
  })
})

describe('the limit learned from first tokens', () => {
  const predicted = { baseMs: 50, msPerInputToken: 0.1 }
  const random = seededRandom(1)
  /** A server that reads prompts one after the other as soon as more than `capacity` are there, and varies by a third. */
  const firstTokenMs = (input: number, inFlight: number, capacity: number) =>
    (50 + 0.1 * input) * Math.max(1, inFlight / capacity) * (0.67 + 0.66 * random.next())

  function feed(learned: FirstTokenLimit, samples: number, capacity: number, concurrencyMax: number): void {
    for (let n = 0; n < samples; n++) {
      const input = Math.floor(4_000 * random.next())
      const inFlight = Math.floor(learned.limit)
      learned.answered(firstTokenMs(input, inFlight, capacity), predicted, input, inFlight, concurrencyMax)
    }
  }

  test('stays all there is where the times vary with the prompt and by a third', () => {
    const learned = new FirstTokenLimit(100)
    feed(learned, 2_000, 100, 100)
    expect(learned.limit).toBe(100)
  })

  test('falls where the same server takes several times as long as usual, and comes back', () => {
    const learned = new FirstTokenLimit(100)
    feed(learned, 1_000, 100, 100)
    feed(learned, 60, 20, 100)
    expect(learned.limit).toBeLessThan(60)
    feed(learned, 1_000, 100, 100)
    expect(learned.limit).toBe(100)
  })

  test('learns nothing where few are in flight', () => {
    const learned = new FirstTokenLimit(100)
    for (let n = 0; n < 100; n++) learned.answered(n < 50 ? 50 : 5_000, predicted, 0, 49, 100)
    expect(learned.limit).toBe(100)
  })

  test('is never above all, and never below twenty where there are so many', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.array(fc.tuple(fc.double({ min: 0, max: 1e6, noNaN: true }), fc.integer({ min: 0, max: 300 }))),
        (max, samples) => {
          const learned = new FirstTokenLimit(max)
          for (const [measuredMs, inFlight] of samples) {
            learned.answered(measuredMs, predicted, 100, inFlight, max)
            expect(learned.limit).toBeLessThanOrEqual(max)
            expect(learned.limit).toBeGreaterThanOrEqual(Math.min(max, 20))
          }
        },
      ),
      { seed: 20_261_125 },
    )
  })
})

describe('a place that has refused for too much at once', () => {
  /** Twelve in flight, the last of which is refused. */
  function refused(quota = {}): Desk {
    const desk = new Desk([endpointOf('a', { concurrencyMax: 20, ...quota })])
    const attempts = Array.from({ length: 12 }, () => {
      desk.arrive()
      return desk.attempt.id
    })
    desk.nowMs = 1_000
    desk.fail(attempts[11] as number, { kind: 'rate-limited', retryAfterMs: 0 })
    return desk
  }

  test('is given no more until others have ended or time has passed', () => {
    const desk = refused()
    desk.arrive()
    expect(desk.attempts).toEqual([])
    // 0.7 of twelve is 8.4, and 0.4 comes back each second: eleven are in flight already.
    expect(desk.pass(6_000)).toEqual([])
    expect(desk.pass(4_000).length).toBeGreaterThan(0)
  })

  test('is given one more at the end of its wait', () => {
    const desk = refused()
    desk.arrive({ waitMsMax: 500 })
    desk.pass(449)
    expect(desk.attempts).toEqual([])
    desk.pass(10)
    expect(desk.dispatched).toEqual(['req_13 to a'])
  })

  test('keeps its slots where it is a known quota that is used up', () => {
    const desk = refused({ requestsPerMinute: 600 })
    desk.pass(2_000)
    desk.arrive()
    expect(desk.attempts).toHaveLength(1)
  })
})
