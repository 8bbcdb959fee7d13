import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MemoryRateLimiter } from './memory.ts'
import type { Budget, Reservation } from './rate-limiter.ts'
import { formatResetDuration } from './reset-duration.ts'

const wallMs = Date.UTC(2026, 10, 24)
const budget = (limits: Partial<Budget>): Budget => ({ id: 'tenant/acme', ...limits })
const none = { tokens: 0, usd: 0 }

function granted(reservation: Reservation): Reservation & { kind: 'granted' } {
  if (reservation.kind !== 'granted') throw new Error(`expected a grant, got ${reservation.limit}`)
  return reservation
}

describe('limits', () => {
  test('refuse the request above the limit and say when it fits', () => {
    const limiter = new MemoryRateLimiter()
    const budgets = [budget({ requestsPerMinute: 2 })]
    for (let i = 0; i < 2; i++) granted(limiter.reserve(budgets, none, 0, wallMs))
    expect(limiter.reserve(budgets, none, 0, wallMs)).toMatchObject({
      kind: 'exceeded',
      limit: 'requests',
      retryAfterMs: 30_000,
    })
    granted(limiter.reserve(budgets, none, 30_000, wallMs))
  })

  test('give back what was held and not used, and charge what was used beyond it', () => {
    const limiter = new MemoryRateLimiter()
    const budgets = [budget({ tokensPerMinute: 1_000 })]
    const first = granted(limiter.reserve(budgets, { tokens: 900, usd: 0 }, 0, wallMs))
    expect(limiter.reserve(budgets, { tokens: 200, usd: 0 }, 0, wallMs).kind).toBe('exceeded')
    first.settle({ tokens: 100, usd: 0 }, 0)
    first.settle({ tokens: 0, usd: 0 }, 0)
    const second = granted(limiter.reserve(budgets, { tokens: 200, usd: 0 }, 0, wallMs))
    expect(second.remaining.tokensRemaining).toBe(700)
    second.settle({ tokens: 1_200, usd: 0 }, 0)
    expect(limiter.reserve(budgets, { tokens: 1, usd: 0 }, 0, wallMs)).toMatchObject({
      kind: 'exceeded',
      limit: 'tokens',
    })
  })

  test('let a request larger than the minute in when the whole minute is there', () => {
    const limiter = new MemoryRateLimiter()
    const budgets = [budget({ tokensPerMinute: 100 })]
    granted(limiter.reserve(budgets, { tokens: 5_000, usd: 0 }, 0, wallMs)).settle({ tokens: 150, usd: 0 }, 0)
    expect(limiter.reserve(budgets, { tokens: 5_000, usd: 0 }, 60_000, wallMs).kind).toBe('exceeded')
    granted(limiter.reserve(budgets, { tokens: 5_000, usd: 0 }, 90_000, wallMs))
  })

  test('count what is open', () => {
    const limiter = new MemoryRateLimiter()
    const budgets = [budget({ concurrentRequests: 1 })]
    const first = granted(limiter.reserve(budgets, none, 0, wallMs))
    expect(limiter.reserve(budgets, none, 0, wallMs)).toMatchObject({ limit: 'concurrent' })
    first.settle(none, 1)
    granted(limiter.reserve(budgets, none, 1, wallMs))
  })

  test('of money end with the month, and begin with what the ledger knows', () => {
    const limiter = new MemoryRateLimiter()
    const budgets = [budget({ usdPerMonth: 10 })]
    limiter.seedSpend('tenant/acme', 9, wallMs)
    expect(limiter.reserve(budgets, { tokens: 0, usd: 2 }, 0, wallMs)).toEqual({
      kind: 'exceeded',
      limit: 'usd',
      budgetId: 'tenant/acme',
      remaining: {},
    })
    granted(limiter.reserve(budgets, { tokens: 0, usd: 2 }, 0, Date.UTC(2026, 11, 1)))
  })

  test('of several payers take from all or from none', () => {
    const limiter = new MemoryRateLimiter()
    const budgets = [budget({ requestsPerMinute: 5 }), budget({ id: 'key/k_1', requestsPerMinute: 1 })]
    granted(limiter.reserve(budgets, none, 0, wallMs))
    expect(limiter.reserve(budgets, none, 0, wallMs)).toMatchObject({ budgetId: 'key/k_1' })
    expect(granted(limiter.reserve(budgets.slice(0, 1), none, 0, wallMs)).remaining.requestsRemaining).toBe(3)
  })

  test('never let through more money than the budget, in any order of bursts and settlements', () => {
    const step = fc.record({
      hold: fc.integer({ min: 1, max: 40 }),
      used: fc.double({ min: 0, max: 1, noNaN: true }),
      settleFirst: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const limiter = new MemoryRateLimiter()
        const budgets = [budget({ usdPerMonth: 100 })]
        let spent = 0
        const open: (() => void)[] = []
        for (const { hold, used, settleFirst } of steps) {
          if (settleFirst) open.shift()?.()
          const one = limiter.reserve(budgets, { tokens: 0, usd: hold }, 0, wallMs)
          if (one.kind !== 'granted') continue
          open.push(() => {
            spent += hold * used
            one.settle({ tokens: 0, usd: hold * used }, 0)
          })
        }
        for (const end of open) end()
        expect(spent).toBeLessThanOrEqual(100 + 1e-9)
      }),
    )
  })
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
