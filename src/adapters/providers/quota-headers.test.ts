import { describe, expect, test } from 'vitest'
import { quotaOf } from './quota-headers.ts'

const resetMs = (reset: string) =>
  quotaOf({ 'x-ratelimit-remaining-tokens': '1', 'x-ratelimit-reset-tokens': reset })?.tokens?.resetMs

describe("a vendor's word on its limits", () => {
  test('is read from the headers that OpenAI sends', () => {
    expect(
      quotaOf({
        'x-ratelimit-limit-requests': '10000',
        'x-ratelimit-remaining-requests': '9999',
        'x-ratelimit-reset-requests': '6ms',
        'x-ratelimit-limit-tokens': '150000',
        'x-ratelimit-remaining-tokens': '149984',
        'x-ratelimit-reset-tokens': '1m30s',
      }),
    ).toEqual({
      tokens: { limit: 150_000, remaining: 149_984, resetMs: 90_000 },
      requests: { limit: 10_000, remaining: 9_999, resetMs: 6 },
    })
  })

  test('may be no more than what remains', () => {
    expect(quotaOf({ 'x-ratelimit-remaining-tokens': '0' })).toEqual({ tokens: { remaining: 0 } })
  })

  test('is none where nothing is said, or nothing that makes sense', () => {
    expect(quotaOf({})).toBeUndefined()
    expect(quotaOf({ 'x-ratelimit-limit-tokens': '5' })).toBeUndefined()
    for (const remaining of ['-1', 'many', '', '1e400', ['1', '2']])
      expect(quotaOf({ 'x-ratelimit-remaining-tokens': remaining }), String(remaining)).toBeUndefined()
  })

  test.each([
    ['12ms', 12],
    ['1s', 1_000],
    ['7.5s', 7_500],
    ['6m0s', 360_000],
    ['1h2m3s', 3_723_000],
    ['1d2h', 93_600_000],
    ['60', 60_000],
  ])('has a reset after %s', (text, ms) => {
    expect(resetMs(text)).toBe(ms)
  })

  test.each(['soon', '-5s', '1.2.3s', '2026-11-25T00:00:00Z'])('has no reset where it is %s', (text) => {
    expect(resetMs(text)).toBeUndefined()
  })
})
