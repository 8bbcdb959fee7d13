import { describe, expect, test } from 'vitest'
import type { ErrorCode } from './errors.ts'
import type { FailureKind } from './failure.ts'
import { Desk, endpointOf } from './testing.ts'

const codes: readonly (readonly [FailureKind, ErrorCode])[] = [
  ['unreachable', 'unavailable'],
  ['reset', 'upstream_error'],
  ['timed-out', 'upstream_timeout'],
  ['overloaded', 'overloaded'],
  ['server-error', 'upstream_error'],
  ['unauthorized', 'upstream_unauthorized'],
  ['missing-model', 'upstream_error'],
  ['broken', 'upstream_invalid_answer'],
]

describe('a refusal', () => {
  test.each(codes)('after a last try that was %s says %s', (kind, code) => {
    const desk = new Desk([endpointOf('a')], 'interactive', { attemptsMax: 1 })
    desk.arrive()
    desk.fail(desk.attempt.id, kind)
    expect(desk.rejections).toMatchObject([{ code, attempts: 1, failure: { kind } }])
  })

  test('says unavailable, and to come back soon, where every place that may serve it is out', () => {
    const desk = new Desk([endpointOf('a'), endpointOf('b')])
    desk.eject('a')
    desk.arrive({ eligible: desk.word('a') })
    desk.fail(desk.attempt.id, 'server-error')
    expect(desk.rejections).toMatchObject([{ code: 'unavailable', retryAfterMs: 5_000 }])
  })

  test.each(['reset', 'unreachable', 'timed-out'] as const)(
    'says that the wait was in vain, and when to come back, where one followed a try that was %s',
    (kind) => {
      const desk = new Desk([endpointOf('a'), endpointOf('b', { concurrencyMax: 1 })])
      desk.arrive({ eligible: desk.word('b') })
      desk.arrive({ eligible: desk.word('a', 'b'), waitMsMax: 1_000 })
      desk.fail(desk.attempt.id, kind)
      desk.nowMs = 1_001
      desk.tell({ kind: 'woken' })
      expect(desk.rejections).toMatchObject([
        { code: 'queue_timeout', attempts: 1, failure: { kind }, retryAfterMs: expect.any(Number) },
      ])
    },
  )

  test('says how long the vendor wants to be left alone, where that is what keeps it waiting', () => {
    const desk = new Desk([endpointOf('a')])
    desk.arrive({ waitMsMax: 1_000 })
    desk.fail(desk.attempt.id, { kind: 'rate-limited', retryAfterMs: 90_000 })
    expect(desk.rejections).toMatchObject([{ code: 'overloaded', retryAfterMs: 90_000 }])
  })

  test('of a long line says when a place is likely', () => {
    const desk = new Desk([endpointOf('a')], 'interactive', { queueLengthMax: 7 })
    for (let n = 0; n < 9; n++) desk.arrive()
    // Eight stand before the next, five seconds each until it is known better.
    expect(desk.rejections).toMatchObject([{ code: 'overloaded', retryAfterMs: 40_000 }])
  })

  test('names what stood against the request, and the wait that one like it can expect', () => {
    const said = () => desk.rejections.map(({ reason }) => [reason.constraint, reason.expectedWaitMs])
    const desk = new Desk([endpointOf('a'), endpointOf('b')], 'interactive', { queueLengthMax: 1 })
    const only = desk.word('a')
    desk.arrive({ eligible: only })
    const first = desk.attempt
    desk.arrive({ eligible: only, waitMsMax: 1_000 })
    desk.arrive({ eligible: only })
    expect(said()).toEqual([['queue-length', 10_000]])
    desk.pass(1_000)
    expect(said()).toEqual([['wait', 10_000]])
    desk.fail(first.id, 'server-error')
    expect(said()).toEqual([['failures', 0]])
    desk.arrive({ eligible: only, waitMsMax: 1_000 })
    desk.fail(desk.attempt.id, { kind: 'rate-limited', retryAfterMs: 5_000 })
    expect(said()).toEqual([['vendor-limit', 5_000]])
    desk.tell({ kind: 'endpoint-probed', endpointId: 'b', reachable: false })
    desk.arrive({ eligible: desk.word('b') })
    desk.fail(desk.attempt.id, 'reset')
    desk.fail(desk.attempt.id, 'reset')
    expect(said().map(([constraint]) => constraint)).toEqual(['outage'])
  })

  test('for want of a place that may serve says no more', () => {
    const desk = new Desk([endpointOf('a')])
    desk.arrive({ eligible: desk.word('nowhere') })
    const reason = { constraint: 'terms', expectedWaitMs: 0 }
    expect(desk.rejections).toEqual([{ id: 'req_1', code: 'no_eligible_endpoint', attempts: 0, reason }])
  })
})
