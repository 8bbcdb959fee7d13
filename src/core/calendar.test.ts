import { expect, test } from 'vitest'
import { Calendar } from './calendar.ts'

test.each([
  [Date.UTC(2026, 10, 1), Date.UTC(2026, 10, 30, 23, 59, 59, 999), 0],
  [Date.UTC(2026, 10, 30, 23, 59, 59, 999), Date.UTC(2026, 11, 1), 1],
  [Date.UTC(2026, 11, 31), Date.UTC(2027, 0, 1), 1],
  [Date.UTC(2027, 0, 1), Date.UTC(2026, 11, 31), -1],
])('from %i to %i it is %i months', (fromMs, toMs, months) => {
  const calendar = new Calendar()
  const from = calendar.monthOf(fromMs)
  expect(calendar.monthOf(toMs) - from).toBe(months)
  expect(calendar.monthOf(fromMs)).toBe(from)
})
