import { describe, expect, test } from 'vitest'
import type { Random } from '../../src/core/random.ts'
import { answers, Day, fails, isAnswered, percentile } from './day.ts'

const share = (part: readonly unknown[], whole: readonly unknown[]) => part.length / whole.length
const secondsBetween = (timesMs: readonly number[]) =>
  timesMs.slice(1).map((atMs, i) => (atMs - (timesMs[i] as number)) / 1_000)

describe('a vendor that refuses for rate', () => {
  test('is left alone for as long as it asked, and its requests are served elsewhere', () => {
    const refusedMs: number[] = []
    const day = new Day([
      {
        name: 'a',
        slots: 64,
        behave: (nowMs, random) => {
          if (random.next() < 0.5) return answers(200, random)
          refusedMs.push(nowMs + 5)
          return fails({ kind: 'rate-limited', retryAfterMs: 2_000 })
        },
      },
      { name: 'b', slots: 64, behave: (_, random) => answers(200, random) },
    ])
    day.traffic(50, 0, 300_000)
    day.host.runUntil(400_000)
    expect(refusedMs.length).toBeGreaterThan(30)
    const early = day
      .triesAt('a')
      .filter((atMs) => refusedMs.some((refused) => atMs > refused && atMs < refused + 2_000))
    expect(early).toEqual([])
    expect(share(day.told.filter(isAnswered), day.told)).toBeGreaterThanOrEqual(0.995)
  })
})

describe('a place that resets every connection', () => {
  test('costs no request its answer while another place has room', () => {
    const day = new Day([
      { name: 'a', slots: 64, behave: () => fails({ kind: 'reset' }) },
      { name: 'b', slots: 64, behave: (_, random) => answers(200, random) },
    ])
    day.traffic(30, 0, 600_000)
    day.host.runUntil(700_000)
    expect(share(day.told.filter(isAnswered), day.told)).toBeGreaterThanOrEqual(0.995)
    expect(day.attempts.length).toBeLessThanOrEqual(1.2 * day.told.length + 3)
  })

  test('is ejected after five in a row, then tried by one request after 30 s, 60 s … 300 s', () => {
    const places = [
      { name: 'a', slots: 64, behave: () => fails({ kind: 'reset' }, 1) },
      { name: 'b', slots: 64, behave: (_: number, random: Random) => answers(200, random) },
    ]
    const day = new Day(places, 'pinned')
    day.traffic(10, 0, 3_000_000)
    day.host.runUntil(3_000_000)
    const [, , , , ...fifthAndOnMs] = day.triesAt('a')
    expect(fifthAndOnMs[0]).toBeLessThan(2_000)
    const gaps = secondsBetween(fifthAndOnMs).map(Math.round)
    expect(gaps.slice(0, 12)).toEqual([30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300])
  })

  test('gets a tenth of its slots when it answers again, and all of them 30 s later', () => {
    const day = new Day([
      // So much faster than the other that it gets whatever it may have.
      {
        name: 'a',
        slots: 100,
        behave: (nowMs) => (nowMs < 10_000 ? fails({ kind: 'reset' }) : { firstTokenMs: 10, totalMs: 2_000 }),
      },
      { name: 'b', slots: 1_000, behave: () => ({ firstTokenMs: 4_000, totalMs: 5_000 }) },
    ])
    day.traffic(100, 0, 120_000)
    day.host.runUntil(30_000)
    while (day.triesAt('a', 20_000).length === 0) day.host.runUntil(day.host.nowMs + 100)
    const fromMs = day.triesAt('a', 20_000)[0] as number
    const filledAfter = (seconds: number) => {
      day.host.runUntil(fromMs + 1_000 * seconds)
      return day.inFlight('a')
    }
    expect(filledAfter(1)).toBeLessThanOrEqual(13)
    expect(filledAfter(15)).toBeGreaterThan(45)
    expect(day.inFlight('a')).toBeLessThanOrEqual(55)
    expect(filledAfter(31)).toBeGreaterThan(90)
  })
})

describe('a place that has become ten times slower', () => {
  test('loses 95% of its traffic within half a minute, and slows nobody else down', () => {
    const day = new Day([
      { name: 'a', slots: 64, behave: (nowMs, random) => answers(nowMs < 60_000 ? 200 : 2_000, random) },
      { name: 'b', slots: 64, behave: (_, random) => answers(200, random) },
      { name: 'c', slots: 64, behave: (_, random) => answers(200, random) },
    ])
    day.traffic(30, 0, 360_000)
    day.host.runUntil(400_000)
    const before = day.triesAt('a', 30_000, 60_000)
    expect(before.length).toBeGreaterThan(200)
    const after = day.triesAt('a', 90_000, 360_000)
    expect(share(after, day.arrivedIn(90_000, 360_000))).toBeLessThanOrEqual(0.05)
    const firstTokenMs = (fromMs: number, untilMs: number) =>
      day
        .arrivedIn(fromMs, untilMs)
        .filter(({ place }) => place !== 'a')
        .map((told) => (told.firstTokenMs as number) - told.arrivedMs)
    const base = percentile(firstTokenMs(0, 60_000), 0.99)
    expect(percentile(firstTokenMs(60_000, 360_000), 0.99)).toBeLessThanOrEqual(1.2 * base + 50)
  })

  test('that answers nothing any more is seen before the first of its requests is given up', () => {
    const day = new Day([
      {
        name: 'a',
        slots: 64,
        behave: (nowMs, random) => (nowMs < 20_000 ? answers(200, random) : fails({ kind: 'timed-out' }, 60_000)),
      },
      { name: 'b', slots: 64, behave: (_, random) => answers(200, random) },
    ])
    day.traffic(20, 0, 80_000)
    day.host.runUntil(200_000)
    expect(day.triesAt('a', 30_000, 80_000).length).toBeLessThanOrEqual(0.05 * day.arrivedIn(30_000, 80_000).length)
    expect(day.told.filter((told) => !isAnswered(told))).toEqual([])
  })
})

describe('a vendor that fails everywhere', () => {
  test('fails no request while another has room', () => {
    const down = (nowMs: number) => nowMs > 60_000 && nowMs < 150_000
    const kinds = ['unreachable', 'server-error', 'reset'] as const
    const day = new Day([
      ...['GB', 'NL', 'NO', 'US', 'JP'].map((country) => ({
        name: `microsoft/${country}`,
        vendor: 'microsoft',
        slots: 16,
        behave: (nowMs: number, random: Random) =>
          down(nowMs) ? fails({ kind: kinds[Math.floor(nowMs / 30_000) % 3] ?? 'reset' }, 20) : answers(300, random),
      })),
      { name: 'google-cloud/NL', slots: 64, behave: (_, random) => answers(300, random) },
    ])
    day.traffic(30, 0, 240_000)
    day.host.runUntil(300_000)
    expect(day.told.filter((told) => !isAnswered(told))).toEqual([])
  })
})

describe('a dead place beside one with more to do than it can', () => {
  test('does not burn those who wait for the other', () => {
    const day = new Day([
      { name: 'dead', slots: 64, behave: () => fails({ kind: 'unreachable' }, 1) },
      { name: 'alive', slots: 40, behave: () => ({ firstTokenMs: 200, totalMs: 1_000 }) },
    ])
    day.traffic(50, 0, 120_000)
    day.host.runUntil(180_000)
    const answered = day.arrivedIn(10_000, 110_000).filter(isAnswered)
    expect(answered.length / 100).toBeGreaterThanOrEqual(0.95 * 40)
    const burnt = day.told.filter((told) => !isAnswered(told) && told.refusedWith !== 'queue_timeout')
    expect(share(burnt, day.told)).toBeLessThanOrEqual(0.01)
  })
})

describe('retries', () => {
  test('stay below a fifth of the requests and three more, however many fail', () => {
    for (const failing of [0.1, 0.3, 0.6, 1]) {
      const flaky = {
        slots: 64,
        behave: (_: number, random: Random) =>
          random.next() < failing ? fails({ kind: 'server-error' }) : answers(200, random),
      }
      const day = new Day([
        { name: 'a', ...flaky },
        { name: 'b', ...flaky },
        { name: 'c', ...flaky },
      ])
      day.traffic(40, 0, 120_000)
      day.host.runUntil(200_000)
      expect(day.attempts.length, `${failing} of the tries fail`).toBeLessThanOrEqual(1.2 * day.told.length + 3)
    }
  })
})

describe('an outage of everything for a minute, at twice the load that can be served', () => {
  const down = (nowMs: number) => nowMs >= 60_000 && nowMs < 120_000
  const place = (name: string) => ({
    name,
    slots: 20,
    behave: (nowMs: number) =>
      down(nowMs) ? fails({ kind: 'unreachable' }, 10) : { firstTokenMs: 200, totalMs: 1_000 },
  })
  const capacityPerSecond = 80
  const day = new Day(['a', 'b', 'c', 'd'].map(place))
  day.traffic(2 * capacityPerSecond, 0, 200_000)
  day.host.runUntil(260_000)
  const completedIn = (fromMs: number, untilMs: number) =>
    day.told.filter((told) => isAnswered(told) && told.endedMs >= fromMs && told.endedMs < untilMs)

  test('is over for everybody 15 s after it is over', () => {
    expect(completedIn(135_000, 195_000).length / 60).toBeGreaterThanOrEqual(0.95 * capacityPerSecond)
  })

  test('fails those who come meanwhile within 1.5 s', () => {
    const tookMs = day.arrivedIn(61_000, 118_000).map(({ arrivedMs, endedMs }) => endedMs - arrivedMs)
    expect(tookMs.length).toBeGreaterThan(5_000)
    expect(percentile(tookMs, 0.95)).toBeLessThanOrEqual(1_500)
  })

  test('makes no more than 1.2 tries a request', () => {
    expect(day.attempts.length).toBeLessThanOrEqual(1.2 * day.told.length + 3)
  })

  test('and nobody waits for longer than ten seconds', () => {
    const refused = day.told.filter(({ refusedWith }) => refusedWith !== undefined)
    expect(Math.max(...refused.map(({ arrivedMs, endedMs }) => endedMs - arrivedMs))).toBeLessThanOrEqual(10_200)
    expect(refused.some(({ refusedWith }) => refusedWith === 'queue_timeout')).toBe(true)
  })
})
