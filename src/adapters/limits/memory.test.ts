import { expect, test } from 'vitest'
import { Calendar, startOfMonth } from './calendar.ts'
import { MemoryRateLimiter } from './memory.ts'
import { rateLimiterContract } from './rate-limiter.contract.ts'
import { formatResetDuration } from './reset-duration.ts'

rateLimiterContract('limits kept in memory', () => new MemoryRateLimiter())

test.each([
  [Date.UTC(2026, 10, 1), Date.UTC(2026, 10, 30, 23, 59, 59, 999), 0],
  [Date.UTC(2026, 10, 30, 23, 59, 59, 999), Date.UTC(2026, 11, 1), 1],
  [Date.UTC(2026, 11, 31), Date.UTC(2027, 0, 1), 1],
  [Date.UTC(2027, 0, 1), Date.UTC(2026, 11, 31), -1],
])('from %i to %i it is %i months', (fromMs, toMs, months) => {
  const calendar = new Calendar()
  const from = calendar.monthOf(fromMs)
  expect(calendar.monthOf(toMs) - from).toBe(months)
  expect(calendar.monthOf(startOfMonth(toMs))).toBe(calendar.monthOf(toMs))
  expect(calendar.monthOf(startOfMonth(toMs) - 1)).toBe(calendar.monthOf(toMs) - 1)
})

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
