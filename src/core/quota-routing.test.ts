import { describe, expect, test } from 'vitest'
import type { Endpoint } from './endpoint.ts'
import { classOf, Desk, endpointOf } from './testing.ts'

const metered = (id: string, setting: Partial<Endpoint> = {}) =>
  endpointOf(id, { concurrencyMax: 8, tokensPerMinute: 6_000, ...setting })
const needing = (tokens: number) => ({ tokens: { input: tokens, cachedInput: 0, output: 0 } })

describe("a place whose vendor's quota has no room for a request", () => {
  test('is not asked: another one is', () => {
    const desk = new Desk([metered('a'), metered('b')])
    for (const eligible of [desk.word('a'), desk.word()]) desk.arrive({ ...needing(4_000), eligible })
    expect(desk.attempt.endpoint.id).toBe('b')
  })

  test('is passed over by a list', () => {
    const desk = new Desk([metered('first'), metered('second')], 'pinned')
    desk.arrive(needing(4_000))
    expect(desk.attempt.endpoint.id).toBe('first')
    desk.arrive(needing(4_000))
    expect(desk.attempt.endpoint.id).toBe('second')
    desk.arrive(needing(2_000))
    expect(desk.attempt.endpoint.id).toBe('first')
  })

  test('is waited for until it has', () => {
    const desk = new Desk([metered('a')])
    desk.arrive(needing(6_000))
    desk.arrive({ ...needing(500), waitMsMax: 10_000 })
    expect(desk.attempts).toEqual([])
    desk.pass(4_900)
    expect(desk.attempts).toEqual([])
    desk.pass(200)
    expect(desk.dispatched).toEqual(['req_2 to a'])
  })

  test('refuses at once one for whom it will not have it in time, and says when it is worth asking again', () => {
    const desk = new Desk([metered('a')])
    desk.arrive(needing(6_000))
    desk.arrive({ ...needing(3_000), waitMsMax: 10_000 })
    expect(desk.rejections).toMatchObject([{ id: 'req_2', code: 'overloaded', retryAfterMs: 30_000 }])
  })

  test('is open again to what a request has not used', () => {
    const desk = new Desk([metered('a')])
    desk.arrive(needing(6_000))
    const { id } = desk.attempt
    desk.arrive({ ...needing(1_000), waitMsMax: 20_000 })
    // It used 200.
    desk.complete(id)
    expect(desk.dispatched).toEqual(['req_2 to a'])
  })
})

test('one who needs many tokens is not passed by those who came later and need few', () => {
  const desk = new Desk([metered('a')])
  desk.arrive({ ...needing(6_000) })
  desk.arrive({ ...needing(900) })
  for (let n = 0; n < 5; n++) desk.arrive({ ...needing(100) })
  desk.pass(8_900)
  expect(desk.attempts).toEqual([])
  desk.pass(3_000)
  expect(desk.dispatched.slice(0, 2)).toEqual(['req_2 to a', 'req_3 to a'])
})

test('one of higher priority does not wait for tokens that are kept for one of lower', () => {
  const desk = new Desk([metered('a')])
  desk.arrive(needing(6_000))
  desk.arrive({ ...needing(900), serviceClass: classOf(0) })
  desk.pass(2_000)
  desk.arrive({ ...needing(100), serviceClass: classOf(0) })
  expect(desk.attempts).toEqual([])
  desk.arrive({ ...needing(100), serviceClass: classOf(10) })
  expect(desk.dispatched).toEqual(['req_4 to a'])
})

test('tokens are kept for nobody who has left', () => {
  const desk = new Desk([metered('a')])
  desk.arrive(needing(6_000))
  const big = desk.arrive({ ...needing(900) })
  desk.pass(2_000)
  desk.tell({ kind: 'request-cancelled', requestId: big })
  desk.arrive({ ...needing(100) })
  expect(desk.dispatched).toEqual(['req_3 to a'])
})

describe('what the vendor says', () => {
  test('with the head of an answer holds from then on', () => {
    const desk = new Desk([endpointOf('a', { concurrencyMax: 8 })])
    desk.arrive(needing(1_000))
    desk.tell({
      kind: 'attempt-answering',
      attemptId: desk.attempt.id,
      quota: { tokens: { limit: 6_000, remaining: 500 } },
    })
    desk.arrive({ ...needing(1_000) })
    expect(desk.attempts).toEqual([])
    desk.pass(5_100)
    expect(desk.dispatched).toEqual(['req_2 to a'])
  })

  test('with a refusal for rate does too, beyond its Retry-After', () => {
    const desk = new Desk([metered('a'), endpointOf('b')])
    desk.arrive({ ...needing(2_000), eligible: desk.word('a') })
    desk.fail(desk.attempt.id, { kind: 'rate-limited', retryAfterMs: 0, quota: { tokens: { remaining: 100 } } })
    desk.arrive({ ...needing(200) })
    expect(desk.attempt.endpoint.id).toBe('b')
  })
})

test('what was never sent costs nothing', () => {
  const desk = new Desk([metered('a')])
  desk.arrive(needing(6_000))
  desk.fail(desk.attempt.id, 'withdrawn')
  expect(desk.dispatched).toEqual(['req_1 to a'])
})
