import { expect, test } from 'vitest'
import { MemoryRateLimiter } from './memory.ts'
import { rateLimiterContract } from './rate-limiter.contract.ts'
import { formatResetDuration } from './reset-duration.ts'

rateLimiterContract('limits kept in memory', () => new MemoryRateLimiter())

test.each([
  [0, '0ms'],
  [820, '820ms'],
  [1_000, '1s'],
  [59_001, '1m0s'],
  [360_000, '6m0s'],
  [3_661_000, '1h1m1s'],
])('%i ms until a limit resets are written %s', (ms, text) => {
  expect(formatResetDuration(ms)).toBe(text)
})
