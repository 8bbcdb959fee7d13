import { expect, test } from 'vitest'
import { SpillwayError } from '../core/spillway-error.ts'
import { errorBody, refusalHeaders } from './refusal.ts'

function headersOf(error: SpillwayError): Record<string, string | undefined> {
  const flat = refusalHeaders(error, 'req_1', [])
  return Object.fromEntries(flat.flatMap((name, index) => (index % 2 === 0 ? [[name, flat[index + 1]]] : [])))
}

test('a wait is said in whole seconds, never too short, and in milliseconds', () => {
  expect(headersOf(new SpillwayError('rate_limit_exceeded', '', { retryAfterMs: 1_200.5 }))).toMatchObject({
    'retry-after': '2',
    'retry-after-ms': '1201',
    'x-should-retry': 'true',
  })
})

test('a wait that clients would not keep to is also said as no', () => {
  const asked = (retryAfterMs: number) =>
    headersOf(new SpillwayError('overloaded', '', { retryAfterMs }))['x-should-retry']
  expect(asked(60_000)).toBe('true')
  expect(asked(60_001)).toBe('false')
})

test('a refusal for want of room always says when to come back', () => {
  for (const code of ['overloaded', 'unavailable', 'draining', 'storage_unavailable', 'rate_limit_exceeded'] as const)
    expect(headersOf(new SpillwayError(code, ''))['retry-after']).toBe('1')
})

test('where asking again cannot help, no wait is said', () => {
  for (const code of ['insufficient_quota', 'invalid_request', 'no_eligible_endpoint'] as const) {
    expect(headersOf(new SpillwayError(code, ''))).not.toHaveProperty('retry-after')
    expect(headersOf(new SpillwayError(code, ''))['x-should-retry']).toBe('false')
  }
})

test('the envelope has four keys, whatever is known', () => {
  expect(JSON.parse(errorBody('invalid_json', 'why', null))).toEqual({
    error: { message: 'why', type: 'invalid_request_error', param: null, code: 'invalid_json' },
  })
})
