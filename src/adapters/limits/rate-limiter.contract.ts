import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Budget, RateLimiter, Reservation } from './rate-limiter.ts'

const wallMs = Date.UTC(2026, 10, 24)
const nextMonthMs = Date.UTC(2026, 11, 1)
const usd = (dollars: number) => dollars * 1e9
const budget = (limits: Partial<Budget>): Budget => ({ id: 'tenant/acme', ...limits })
const money = (nanoUsd: number) => ({ tokens: 0, nanoUsd })
const tokens = (count: number) => ({ tokens: count, nanoUsd: 0 })
const none = { tokens: 0, nanoUsd: 0 }

function granted(reservation: Reservation): Reservation & { kind: 'granted' } {
  if (reservation.kind !== 'granted') throw new Error(`expected a grant, got ${reservation.limit}`)
  return reservation
}

/** What holds for every implementation of the port. */
export function rateLimiterContract(name: string, make: () => RateLimiter): void {
  describe(name, () => {
    test('refuses the request above the limit and says when it fits', () => {
      const limiter = make()
      const budgets = [budget({ requestsPerMinute: 2 })]
      for (let i = 0; i < 2; i++) granted(limiter.reserve(budgets, none, 0, wallMs))
      const refused = limiter.reserve(budgets, none, 0, wallMs)
      expect(refused).toMatchObject({ kind: 'exceeded', limit: 'requests', retryAfterMs: 30_000 })
      granted(limiter.reserve(budgets, none, 30_000, wallMs))
    })

    test('gives back what was held and not used, and charges what was used beyond it', () => {
      const limiter = make()
      const budgets = [budget({ tokensPerMinute: 1_000 })]
      const first = granted(limiter.reserve(budgets, tokens(900), 0, wallMs))
      expect(limiter.reserve(budgets, tokens(200), 0, wallMs).kind).toBe('exceeded')
      first.settle(tokens(100), 0)
      first.settle(none, 0)
      const second = granted(limiter.reserve(budgets, tokens(200), 0, wallMs))
      expect(second.remaining.tokensRemaining).toBe(700)
      second.settle(tokens(1_200), 0)
      expect(limiter.reserve(budgets, tokens(1), 0, wallMs)).toMatchObject({ kind: 'exceeded', limit: 'tokens' })
    })

    test('lets a request larger than the minute in when the whole minute is there', () => {
      const limiter = make()
      const budgets = [budget({ tokensPerMinute: 100 })]
      granted(limiter.reserve(budgets, tokens(5_000), 0, wallMs)).settle(tokens(150), 0)
      expect(limiter.reserve(budgets, tokens(5_000), 60_000, wallMs).kind).toBe('exceeded')
      granted(limiter.reserve(budgets, tokens(5_000), 90_000, wallMs))
    })

    test('counts what is open', () => {
      const limiter = make()
      const budgets = [budget({ concurrentRequests: 1 })]
      const first = granted(limiter.reserve(budgets, none, 0, wallMs))
      expect(limiter.reserve(budgets, none, 0, wallMs)).toMatchObject({ limit: 'concurrent' })
      first.settle(none, 1)
      first.settle(none, 1)
      granted(limiter.reserve(budgets, none, 1, wallMs))
      expect(limiter.reserve(budgets, none, 1, wallMs)).toMatchObject({ limit: 'concurrent' })
    })

    test('begins the money of a month with what the ledger knows, and says that waiting does not help', () => {
      const limiter = make()
      const budgets = [budget({ usdPerMonth: 10 })]
      limiter.seedSpend('tenant/acme', usd(9), wallMs)
      expect(limiter.reserve(budgets, money(usd(2)), 0, wallMs)).toEqual({
        kind: 'exceeded',
        limit: 'usd',
        budgetId: 'tenant/acme',
        remaining: {},
      })
      granted(limiter.reserve(budgets, money(usd(1)), 0, wallMs))
    })

    test('takes money to the last nano-dollar, and none beyond', () => {
      const limiter = make()
      const budgets = [budget({ usdPerMonth: 0.3 })]
      for (let i = 0; i < 3; i++) granted(limiter.reserve(budgets, money(100_000_000), 0, wallMs))
      expect(limiter.reserve(budgets, money(1), 0, wallMs)).toMatchObject({ limit: 'usd' })
    })

    test('gives the new month its money, and charges the old one what was held in it', () => {
      const limiter = make()
      const budgets = [budget({ usdPerMonth: 10 })]
      const old = granted(limiter.reserve(budgets, money(usd(8)), 0, wallMs))
      const next = granted(limiter.reserve(budgets, money(usd(10)), 0, nextMonthMs))
      old.settle(money(usd(8)), 0)
      expect(limiter.reserve(budgets, money(1), 0, nextMonthMs)).toMatchObject({ limit: 'usd' })
      next.settle(money(usd(4)), 0)
      granted(limiter.reserve(budgets, money(usd(6)), 0, nextMonthMs))
      expect(limiter.reserve(budgets, money(1), 0, nextMonthMs)).toMatchObject({ limit: 'usd' })
    })

    test('gives no money twice when the clock jumps back over the end of a month', () => {
      const limiter = make()
      const budgets = [budget({ usdPerMonth: 10 })]
      granted(limiter.reserve(budgets, money(usd(10)), 0, nextMonthMs)).settle(money(usd(10)), 0)
      expect(limiter.reserve(budgets, money(1), 0, wallMs)).toMatchObject({ limit: 'usd' })
    })

    test('holds more for an answer that grows, as long as there is more', () => {
      const limiter = make()
      const budgets = [budget({ usdPerMonth: 10 }), budget({ id: 'key/k_1', usdPerMonth: 5 })]
      const one = granted(limiter.reserve(budgets, money(usd(4)), 0, wallMs))
      expect(one.extend(usd(1))).toBe(true)
      expect(one.extend(1)).toBe(false)
      one.settle(money(usd(5)), 0)
      expect(one.extend(0)).toBe(false)
      expect(limiter.reserve(budgets, money(1), 0, wallMs)).toMatchObject({ limit: 'usd', budgetId: 'key/k_1' })
      granted(limiter.reserve(budgets.slice(0, 1), money(usd(5)), 0, wallMs))
    })

    test('takes from all payers or from none', () => {
      const limiter = make()
      const budgets = [budget({ requestsPerMinute: 5 }), budget({ id: 'key/k_1', requestsPerMinute: 1 })]
      granted(limiter.reserve(budgets, none, 0, wallMs))
      expect(limiter.reserve(budgets, none, 0, wallMs)).toMatchObject({ budgetId: 'key/k_1' })
      expect(granted(limiter.reserve(budgets.slice(0, 1), none, 0, wallMs)).remaining.requestsRemaining).toBe(3)
    })

    test('counts what was spent before there was a limit', () => {
      const limiter = make()
      granted(limiter.reserve([budget({})], money(usd(3)), 0, wallMs)).settle(money(usd(3)), 0)
      const open = granted(limiter.reserve([budget({})], money(usd(1)), 0, wallMs))
      const budgets = [budget({ usdPerMonth: 5, concurrentRequests: 1 })]
      expect(limiter.reserve(budgets, none, 0, wallMs)).toMatchObject({ limit: 'concurrent' })
      open.settle(money(usd(1)), 0)
      expect(limiter.reserve(budgets, money(usd(2)), 0, wallMs)).toMatchObject({ limit: 'usd' })
      granted(limiter.reserve(budgets, money(usd(1)), 0, wallMs))
    })

    test('is never more generous in any stretch of time than its limit a minute, on top of one minute saved up', () => {
      const step = fc.record({
        waitMs: fc.nat(20_000),
        hold: fc.nat(400),
        used: fc.double({ min: 0, max: 1, noNaN: true }),
      })
      fc.assert(
        fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
          const limiter = make()
          const budgets = [budget({ requestsPerMinute: 10, tokensPerMinute: 1_000 })]
          const taken: { atMs: number; tokens: number }[] = []
          let nowMs = 0
          for (const { waitMs, hold, used } of steps) {
            nowMs += waitMs
            const one = limiter.reserve(budgets, tokens(hold), nowMs, wallMs)
            if (one.kind !== 'granted') continue
            const spent = Math.floor(hold * used)
            taken.push({ atMs: nowMs, tokens: spent })
            one.settle(tokens(spent), nowMs)
          }
          for (const [from, { atMs: fromMs }] of taken.entries()) {
            let sum = 0
            for (const [index, { atMs, tokens: count }] of taken.slice(from).entries()) {
              sum += count
              const minutes = (atMs - fromMs) / 60_000
              expect(index + 1).toBeLessThanOrEqual(10 + 10 * minutes + 1e-6)
              expect(sum).toBeLessThanOrEqual(1_000 + 1_000 * minutes + 1e-6)
            }
          }
        }),
      )
    })

    test('never lets more money through than there is, and holds nothing once all has ended', () => {
      const step = fc.record({
        hold: fc.integer({ min: 1, max: 40 }),
        used: fc.double({ min: 0, max: 1, noNaN: true }),
        grows: fc.boolean(),
        ends: fc.constantFrom('first', 'last', 'none'),
        twice: fc.boolean(),
      })
      fc.assert(
        fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
          const limiter = make()
          const nanoUsdMax = 100
          const budgets = [budget({ usdPerMonth: nanoUsdMax / 1e9, concurrentRequests: 1_000 })]
          let spent = 0
          const open: { cost: number; end(): void }[] = []
          for (const { hold, used, grows, ends, twice } of steps) {
            if (ends !== 'none') (ends === 'first' ? open.shift() : open.pop())?.end()
            const one = limiter.reserve(budgets, money(hold), 0, wallMs)
            const held = open.reduce((sum, { cost }) => sum + cost, 0)
            expect(one.kind === 'granted').toBe(spent + held + hold <= nanoUsdMax)
            if (one.kind !== 'granted') continue
            const more = grows && one.extend(3) ? 3 : 0
            expect(more > 0).toBe(grows && spent + held + hold + 3 <= nanoUsdMax)
            const end = () => {
              const nanoUsd = Math.floor((hold + more) * used)
              spent += nanoUsd
              one.settle(money(nanoUsd), 0)
              if (twice) one.settle(money(nanoUsd), 0)
            }
            open.push({ cost: hold + more, end })
          }
          for (const { end } of open) end()
          expect(spent).toBeLessThanOrEqual(nanoUsdMax)
          if (spent < nanoUsdMax) granted(limiter.reserve(budgets, money(nanoUsdMax - spent), 0, wallMs))
          expect(limiter.reserve(budgets, money(1), 0, wallMs)).toMatchObject({ limit: 'usd' })
        }),
        { numRuns: 500 },
      )
    })
  })
}
