import { describe, expect, test } from 'vitest'
import { EndpointState } from './endpoint-state.ts'
import { endpointOf } from './testing.ts'

const place = () => new EndpointState(endpointOf('a', { concurrencyMax: 100 }))

/** One try that fails this much later. */
function fail(state: EndpointState, nowMs: number, tookMs = 0): boolean {
  return state.failed(nowMs - tookMs, false, nowMs)
}

function eject(state: EndpointState, nowMs: number): void {
  while (!state.isEjected) fail(state, nowMs)
}

describe('the expected first token', () => {
  test('follows a slow answer at once and a fast one by and by', () => {
    const state = place()
    state.started(false, 0)
    state.answered(0, 2_000)
    expect(state.firstTokenMs(2_000)).toBe(2_000)
    state.started(false, 2_000)
    state.answered(2_000, 2_100)
    expect(state.firstTokenMs(2_100)).toBeGreaterThan(1_000)
    expect(state.firstTokenMs(2_100)).toBeLessThan(2_000)
  })

  test('sinks back while nothing renews it, so that a slow place is looked at again', () => {
    const state = place()
    state.started(false, 0)
    state.answered(0, 2_000)
    expect(state.firstTokenMs(12_000)).toBeCloseTo(30 + 1_970 / 2)
    expect(state.firstTokenMs(600_000)).toBeLessThan(65)
  })

  test('is no shorter than what those who wait for one have waited', () => {
    const state = place()
    state.started(false, 0)
    expect(state.firstTokenMs(5_000)).toBe(5_000)
    state.started(false, 5_000)
    expect(state.firstTokenMs(5_000)).toBe(2_500)
  })

  test('is told from a whole answer by its length', () => {
    const state = place()
    state.answeredWhole(0, 370, 2_200)
    expect(state.firstTokenMs(2_200)).toBe(200)
  })

  test('is long after a failure, however fast it came', () => {
    const state = place()
    fail(state, 10, 10)
    expect(state.firstTokenMs(10)).toBe(1_000)
    fail(state, 20, 10)
    expect(state.firstTokenMs(20)).toBeGreaterThan(1_900)
  })

  test('is no shorter than a caller has waited before leaving', () => {
    const state = place()
    state.started(false, 0)
    state.abandoned(0, 8_000)
    state.endedUnanswered(0)
    expect(state.firstTokenMs(8_000)).toBe(8_000)
  })
})

describe('ejection', () => {
  test('comes with the fifth failure in a row', () => {
    const state = place()
    for (let n = 0; n < 4; n++) expect(fail(state, n)).toBe(false)
    state.answeredWhole(3, 10, 4)
    for (let n = 0; n < 4; n++) expect(fail(state, n + 5)).toBe(false)
    expect(fail(state, 10)).toBe(true)
    expect(state.health(10)).toBe('ejected')
  })

  test('comes with the fifth broken answer in a row, though each had begun', () => {
    const state = place()
    for (let n = 0; n < 4; n++) {
      state.started(false, n)
      state.answered(n, n)
      expect(state.failed(n, true, n)).toBe(false)
    }
    state.completed()
    for (let n = 0; n < 4; n++) expect(state.failed(n, true, n)).toBe(false)
    expect(state.failed(5, true, 5)).toBe(true)
  })

  test('lasts 30 s times the ejections so far, 300 s at the most, and is forgotten after ten minutes', () => {
    const state = place()
    let nowMs = 0
    const lasted = Array.from({ length: 12 }, () => {
      if (state.isEjected) fail(state, nowMs)
      else eject(state, nowMs)
      const lastsMs = state.ejectedUntilMs - nowMs
      nowMs = state.ejectedUntilMs
      return lastsMs / 1_000
    })
    expect(lasted).toEqual([30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300])
    state.refused(nowMs, nowMs)
    eject(state, nowMs + 600_000)
    expect(state.ejectedUntilMs - nowMs).toBe(630_000)
  })

  test('is not prolonged by what was under way before, nor by a try out of turn', () => {
    const state = place()
    eject(state, 1_000)
    const untilMs = state.ejectedUntilMs
    expect(fail(state, 40_000, 39_500)).toBe(false)
    expect(fail(state, 20_000)).toBe(false)
    expect(state.ejectedUntilMs).toBe(untilMs)
  })

  test('is ended by an answer to a try made since, and by no other', () => {
    const state = place()
    eject(state, 1_000)
    state.started(false, 500)
    expect(state.answered(500, 2_000)).toBe(false)
    state.started(true, 31_000)
    expect(state.answered(31_000, 31_100)).toBe(true)
    expect(state.health(31_100)).toBe('open')
  })

  test('lets one at a time try: when its time is over, or a thirtieth of it where others wait in vain', () => {
    const state = place()
    eject(state, 0)
    expect(state.isTrialDue(false, 29_999)).toBe(false)
    expect(state.isTrialDue(false, 30_000)).toBe(true)
    expect(state.isTrialDue(true, 999)).toBe(false)
    expect(state.isTrialDue(true, 1_000)).toBe(true)
    state.started(true, 1_000)
    expect(state.isTrialDue(true, 1_500)).toBe(false)
    state.ended(true)
    fail(state, 1_500, 500)
    expect(state.isTrialDue(true, 2_499)).toBe(false)
    expect(state.isTrialDue(true, 2_500)).toBe(true)
  })

  test('is not cut short at a place whose failures take long', () => {
    const state = place()
    eject(state, 0)
    fail(state, 20_000, 15_000)
    expect(state.isTrialDue(true, 29_999)).toBe(false)
    expect(state.isTrialDue(true, 30_000)).toBe(true)
  })
})

test('a place that comes back gets a tenth of its slots, and all of them half a minute later', () => {
  const state = place()
  expect(state.slots(0)).toBe(100)
  eject(state, 0)
  state.refused(30_000, 30_000)
  expect([0, 10_000, 20_000, 30_000].map((sinceMs) => state.slots(30_000 + sinceMs))).toEqual([10, 40, 70, 100])
})

test('a vendor that asks to be left alone is, for the longest that it asked', () => {
  const state = place()
  state.held(10_000, 0)
  state.held(2_000, 1_000)
  expect(state.heldUntilMs).toBe(10_000)
  expect(state.isFree(9_999)).toBe(false)
  expect(state.isFree(10_000)).toBe(true)
})

test('a place that cannot be reached is down whatever else it is', () => {
  const state = place()
  expect(state.probed(true)).toBe(false)
  expect(state.probed(false)).toBe(true)
  eject(state, 0)
  expect(state.health(0)).toBe('down')
  expect(state.isTrialDue(true, 60_000)).toBe(false)
  expect(state.probed(true)).toBe(true)
  expect(state.health(0)).toBe('ejected')
})
