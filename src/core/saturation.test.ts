import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Endpoint } from './endpoint.ts'
import { EndpointState } from './endpoint-state.ts'
import { classOf, Desk, endpointOf } from './testing.ts'

const place = (setting: Partial<Endpoint> = {}) =>
  new EndpointState(endpointOf('a', { concurrencyMax: 10, ...setting }))

describe('the saturation of a place', () => {
  test('is its share of slots in use', () => {
    const state = place()
    expect(state.saturation(0)).toBe(0)
    for (let n = 0; n < 4; n++) state.started(false, 0)
    expect(state.saturation(0)).toBe(0.4)
  })

  test('is above one where it has learned that it has more than it can take', () => {
    const state = place()
    for (let n = 0; n < 9; n++) state.started(false, 0)
    state.overloaded(0, 100)
    // 0.7 of ten, the refused one counted.
    expect(state.saturation(100)).toBe(9 / 7)
  })

  test('is that of its KV cache or of its quota where these are scarcer', () => {
    const state = place({ kvTokens: 1_000, tokensPerMinute: 10_000 })
    state.started(false, 0, 600)
    expect(state.saturation(0)).toBe(0.6)
    state.quota?.charge(9_000, 0)
    expect(state.saturation(0)).toBe(0.9)
    state.ended(false, 600)
    expect(state.saturation(60_000)).toBe(0)
  })

  test('is all while its vendor asks to be left alone', () => {
    const state = place()
    state.held(1_000, 0)
    expect([state.saturation(999), state.saturation(1_000)]).toEqual([1, 0])
  })

  test('never falls with more in flight, and is nothing again when all has ended', () => {
    const request = fc.record({ tokens: fc.integer({ min: 0, max: 5_000 }), ends: fc.boolean() })
    fc.assert(
      fc.property(fc.array(request), (requests) => {
        const state = place({ kvTokens: 8_000 })
        const inFlight: number[] = []
        for (const { tokens, ends } of requests) {
          const before = state.saturation(0)
          const ending = ends ? inFlight.pop() : undefined
          if (ending === undefined) {
            inFlight.push(tokens)
            state.started(false, 0, tokens)
            expect(state.saturation(0)).toBeGreaterThanOrEqual(before)
          } else {
            state.ended(false, ending)
            expect(state.saturation(0)).toBeLessThanOrEqual(before)
          }
        }
        for (const tokens of inFlight) state.ended(false, tokens)
        expect(state.saturation(0)).toBe(0)
      }),
      { seed: 20_261_125 },
    )
  })
})

describe("a class's ceiling", () => {
  const batch = classOf(-10, { saturationMax: 0.5 })
  const interactive = classOf(10)

  test('keeps room for those of other classes', () => {
    const desk = new Desk([endpointOf('a', { concurrencyMax: 4 })])
    for (let n = 0; n < 3; n++) desk.arrive({ serviceClass: batch })
    expect(desk.attempts).toEqual([])
    for (let n = 0; n < 2; n++) {
      desk.arrive({ serviceClass: interactive })
      expect(desk.attempts).toHaveLength(1)
    }
  })

  test('is kept to at the end of a wait too', () => {
    const desk = new Desk([endpointOf('a', { concurrencyMax: 4 })])
    for (let n = 0; n < 3; n++) desk.arrive({ serviceClass: batch, waitMsMax: 1_000 })
    desk.pass(1_000)
    expect(desk.rejections).toMatchObject([{ id: 'req_3', code: 'queue_timeout' }])
  })

  test('lets another class pass by, and the next in when the place is less saturated', () => {
    const desk = new Desk([endpointOf('a', { concurrencyMax: 4 })])
    const ids = Array.from({ length: 4 }, () => {
      desk.arrive({ serviceClass: interactive })
      return desk.attempt.id
    })
    desk.arrive({ serviceClass: batch })
    for (const [n, id] of ids.entries()) {
      desk.complete(id)
      expect(desk.dispatched).toEqual(n === 2 ? ['req_5 to a'] : [])
    }
  })

  test('sends it to a place that is less saturated, in any routing', () => {
    for (const routing of ['interactive', 'cheapest'] as const) {
      const desk = new Desk([endpointOf('a', { concurrencyMax: 2 }), endpointOf('b', { concurrencyMax: 2 })], routing)
      desk.arrive({ serviceClass: interactive, eligible: desk.word('a') })
      desk.arrive({ serviceClass: batch })
      expect(desk.attempt.endpoint.id).toBe('b')
    }
  })
})
