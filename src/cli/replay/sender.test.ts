import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FakeVendor } from '../../../test/e2e/fake-vendor.ts'
import { type ReplayOptions, runReplay } from './sender.ts'
import type { TraceRequest } from './trace.ts'

let vendor: FakeVendor

beforeEach(async () => {
  vendor = await FakeVendor.start()
})

afterEach(() => vendor.down())

const every = (ms: number, count: number): TraceRequest[] =>
  Array.from({ length: count }, (_, index) => ({ atMs: index * ms, inputTokens: 10, outputTokens: 3, blocks: [] }))

const replay = (change: Partial<ReplayOptions> = {}) =>
  runReplay({
    trace: every(1, 20),
    speed: 1,
    url: `http://127.0.0.1:${vendor.port}/v1`,
    keys: ['sk-one'],
    model: 'chat-large',
    timeoutMs: 10_000,
    concurrencyMax: 1_000,
    seed: 1,
    ...change,
  })

const keyOf = (authorization: string | string[] | undefined) => String(authorization).replace('Bearer ', '')

describe('a replay', () => {
  test('sends every request of the trace once and reads its answer', async () => {
    const results = await replay()
    expect(vendor.chats).toHaveLength(20)
    expect(results.map(({ index }) => index)).toEqual(Array.from({ length: 20 }, (_, index) => index))
    for (const result of results)
      expect(result).toMatchObject({
        ended: 'ok',
        status: 200,
        contentEvents: 3,
        done: true,
        usage: { completionTokens: 3 },
        simulated: false,
      })
  })

  test('sends no request before its time, and says how late each was', async () => {
    const startedMs = performance.timeOrigin + performance.now()
    const results = await replay({ trace: every(60, 10), speed: 2 })
    const seen = results.map(({ sentMs, lateMs }) => ({ due: sentMs - startedMs, lateMs }))
    for (const [index, { due, lateMs }] of seen.entries()) {
      expect(due).toBeGreaterThanOrEqual(index * 30)
      // All are shifted by what it took to begin.
      expect(due - (seen[0]?.due ?? 0)).toBeCloseTo(index * 30, 3)
      expect(lateMs).toBeGreaterThanOrEqual(0)
    }
  })

  test('counts latency from when a request was due, also where it could not be sent then', async () => {
    vendor.behaviour = { everyMs: 30 }
    const results = await replay({ trace: every(0, 3), concurrencyMax: 1 })
    const [first, second, third] = results.map(({ lateMs, endMs }) => ({ lateMs, endMs }))
    expect(second?.lateMs).toBeGreaterThan(60)
    expect(third?.lateMs).toBeGreaterThan(120)
    expect(third?.lateMs).toBeGreaterThan(second?.lateMs ?? 0)
    expect(third?.endMs).toBeGreaterThan((third?.lateMs ?? 0) + 60)
    expect(first?.lateMs).toBeLessThan(second?.lateMs ?? 0)
  })

  test('never has more requests open than it may', async () => {
    vendor.behaviour = { everyMs: 5 }
    let most = 0
    await replay({
      trace: every(0, 30),
      concurrencyMax: 4,
      onChange: (open) => {
        most = Math.max(most, open)
      },
    })
    expect(most).toBe(4)
  })

  test('deals requests out among hundreds of keys, the same way each time', async () => {
    const keys = Array.from({ length: 300 }, (_, index) => `sk-${index}`)
    const trace = every(0, 3_000)
    const results = await replay({ trace, keys, concurrencyMax: 100 })
    const dealt = results.map(({ key }) => key)
    expect(new Set(dealt).size).toBeGreaterThan(295)
    const perKey = Map.groupBy(dealt, (key) => key)
    expect(Math.max(...[...perKey.values()].map(({ length }) => length))).toBeLessThan(30)
    const used = Map.groupBy(vendor.chats, ({ headers }) => keyOf(headers['authorization']))
    for (const [key, group] of perKey) expect(used.get(`sk-${key}`)).toHaveLength(group.length)
    const again = await replay({ trace: trace.slice(0, 100), keys })
    expect(again.map(({ key }) => key)).toEqual(dealt.slice(0, 100))
    const otherwise = await replay({ trace: trace.slice(0, 100), keys, seed: 2 })
    expect(otherwise.map(({ key }) => key)).not.toEqual(dealt.slice(0, 100))
  })

  test('tells a refusal by its code, its words and when to come back', async () => {
    vendor.behaviour = { status: 429, headers: { 'retry-after': '7', 'x-request-id': 'req_9' } }
    const [result] = await replay({ trace: every(0, 1) })
    expect(result).toMatchObject({
      ended: 'refused',
      status: 429,
      code: null,
      message: 'told to fail',
      retryAfter: '7',
      requestId: 'req_9',
      ttftMs: null,
    })
  })

  test('tells a stream that broke off from one that ended', async () => {
    vendor.behaviour = { cutAfter: 2 }
    const [result] = await replay({ trace: every(0, 1) })
    expect(result).toMatchObject({ ended: 'cut-without', contentEvents: 2, done: false })
  })

  test('tells where nobody listens', async () => {
    await vendor.down()
    const results = await replay({ trace: every(0, 2) })
    expect(results.map(({ ended, status }) => [ended, status])).toEqual([
      ['unreachable', 0],
      ['unreachable', 0],
    ])
  })

  test('gives a request up after its time', async () => {
    vendor.behaviour = { everyMs: 10_000 }
    const [result] = await replay({ trace: every(0, 1), timeoutMs: 100 })
    expect(result).toMatchObject({ ended: 'timeout', contentEvents: 1 })
  })

  test('that is stopped sends no more and waits for what is open', async () => {
    vendor.behaviour = { everyMs: 20 }
    const stop = new AbortController()
    const results = await replay({
      trace: every(10, 1_000),
      stop: stop.signal,
      onChange: () => {
        if (vendor.chats.length >= 5) stop.abort()
      },
    })
    expect(results.length).toBeLessThan(1_000)
    expect(results).toHaveLength(vendor.chats.length)
    expect(new Set(results.map(({ ended }) => ended))).toEqual(new Set(['ok']))
  })

  test('that is given up ends what is open', async () => {
    vendor.behaviour = { everyMs: 10_000 }
    const stop = new AbortController()
    const giveUp = new AbortController()
    const results = await replay({
      trace: every(0, 5),
      stop: stop.signal,
      giveUp: giveUp.signal,
      onChange: (open) => {
        if (open < 5) return
        stop.abort()
        setTimeout(() => giveUp.abort(), 50)
      },
    })
    expect(results.map(({ ended }) => ended)).toEqual(new Array(5).fill('given-up'))
  })
})
