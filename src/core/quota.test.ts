import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { QuotaMirror, type QuotaSetting, type QuotaWord } from './quota.ts'

const minuteMs = 60_000

function mirrorOf(setting: QuotaSetting): QuotaMirror {
  const mirror = new QuotaMirror()
  mirror.configure(setting, 0)
  return mirror
}

describe("the mirror of a vendor's quota", () => {
  test('has room for what is left, and again as the minute goes by', () => {
    const mirror = mirrorOf({ tokensPerMinute: 6_000 })
    mirror.charge(5_000, 0)
    expect([mirror.fits(1_000, 0), mirror.fits(1_001, 0), mirror.used(0)]).toEqual([true, false, 5 / 6])
    expect([mirror.waitMs(3_000, 0), mirror.fits(3_000, 19_999), mirror.fits(3_000, 20_000)]).toEqual([
      20_000,
      false,
      true,
    ])
  })

  test('has room for a request that is larger than the limit when all of it is there', () => {
    const mirror = mirrorOf({ tokensPerMinute: 6_000 })
    expect(mirror.fits(50_000, 0)).toBe(true)
    mirror.charge(1, 0)
    expect(mirror.fits(50_000, 0)).toBe(false)
  })

  test('counts requests too, and is as full as the scarcer of the two', () => {
    const mirror = mirrorOf({ tokensPerMinute: 6_000, requestsPerMinute: 2 })
    mirror.charge(1_500, 0)
    expect(mirror.used(0)).toBe(0.5)
    mirror.charge(1, 0)
    expect([mirror.fits(1, 0), mirror.waitMs(1, 0)]).toEqual([false, 30_000])
  })

  test('gets back what a request did not use, unless the vendor keeps it', () => {
    for (const keepsCharge of [false, true]) {
      const mirror = mirrorOf({ tokensPerMinute: 6_000, keepsCharge })
      mirror.charge(6_000, 0)
      mirror.settle(6_000, 1_000, 0)
      expect(mirror.fits(5_000, 0)).toBe(!keepsCharge)
    }
  })

  test('has after a refusal no more than grows to what was asked for by when the vendor will take it', () => {
    const mirror = mirrorOf({ tokensPerMinute: 6_000 })
    mirror.charge(1_000, 0)
    mirror.refused(1_000, 5_000, 0)
    expect([mirror.fits(501, 0), mirror.fits(500, 0), mirror.fits(1_000, 4_999), mirror.fits(1_000, 5_000)]).toEqual([
      false,
      true,
      false,
      true,
    ])
  })

  test('takes the word of the vendor, less what was sent since', () => {
    const mirror = mirrorOf({ tokensPerMinute: 6_000 })
    const then = mirror.charge(1_000, 0)
    mirror.charge(500, 0)
    mirror.said({ tokens: { remaining: 2_000 } }, then, 0)
    expect([mirror.fits(1_500, 0), mirror.fits(1_501, 0)]).toEqual([true, false])
  })

  test('learns a limit that nobody has set, and how fast it fills', () => {
    const mirror = new QuotaMirror()
    expect(mirror.fits(1e9, 0)).toBe(true)
    const then = mirror.charge(100, 0)
    // 200 requests a day: one comes back after 7 min 12 s.
    mirror.said({ requests: { limit: 200, remaining: 199, resetMs: 432_000 } }, then, 0)
    expect(mirror.fits(1, 0)).toBe(true)
    for (let n = 0; n < 199; n++) mirror.charge(100, 0)
    expect(mirror.waitMs(1, 0)).toBe(432_000)
  })

  test('tells no pace from a reset that is rounded too much', () => {
    const mirror = new QuotaMirror()
    mirror.said({ tokens: { limit: 60_000, remaining: 59_999, resetMs: 1_000 } }, mirror.charged, 0)
    mirror.charge(60_000, 0)
    expect(mirror.waitMs(1_000, 0)).toBeLessThan(1_100)
  })

  test('keeps to a part of the limit where the operator has set one', () => {
    const mirror = mirrorOf({ tokensPerMinute: 6_000 })
    mirror.charge(6_000, 0)
    mirror.said({ tokens: { limit: 60_000, remaining: 54_000 } }, mirror.charged, 0)
    expect(mirror.fits(1, 0)).toBe(false)
    mirror.said({ tokens: { limit: 60_000, remaining: 0 } }, mirror.charged, minuteMs)
    expect(mirror.fits(1, minuteMs)).toBe(false)
  })
})

/** A vendor's own bucket, in one piece with what it tells. */
class Vendor {
  #level: number
  #atMs = 0
  readonly #limit: number

  constructor(limit: number) {
    this.#limit = limit
    this.#level = limit
  }

  /** Gives its word where it takes the request. */
  ask(tokens: number, atMs: number): QuotaWord | undefined {
    this.#pass(atMs)
    // A rounding error is no refusal.
    if (this.#level + 1e-6 < Math.min(tokens, this.#limit)) return undefined
    this.#level -= tokens
    return { tokens: { remaining: Math.max(0, Math.floor(this.#level)), limit: this.#limit } }
  }

  giveBack(tokens: number, atMs: number): void {
    this.#pass(atMs)
    this.#level = Math.min(this.#limit, this.#level + tokens)
  }

  #pass(atMs: number): void {
    this.#level = Math.min(this.#limit, this.#level + (this.#limit * (atMs - this.#atMs)) / minuteMs)
    this.#atMs = atMs
  }
}

test('who asks only where the mirror has room is never refused, and is not kept waiting for what is there', () => {
  const request = fc.record({
    afterMs: fc.integer({ min: 0, max: 4_000 }),
    bound: fc.integer({ min: 1, max: 8_000 }),
    usedShare: fc.double({ min: 0, max: 1, noNaN: true }),
    tookMs: fc.integer({ min: 50, max: 5_000 }),
  })
  const wayMs = 20
  fc.assert(
    fc.property(
      fc.array(request, { minLength: 1, maxLength: 60 }),
      fc.boolean(),
      fc.boolean(),
      (requests, keepsCharge, talks) => {
        const limit = 6_000
        const vendor = new Vendor(limit)
        const mirror = mirrorOf({ tokensPerMinute: limit, keepsCharge })
        const agenda: { readonly dueMs: number; readonly act: (nowMs: number) => void }[] = []
        const at = (dueMs: number, act: (nowMs: number) => void) => {
          agenda.push({ dueMs, act })
          agenda.sort((a, b) => a.dueMs - b.dueMs)
        }
        let arrivesMs = 0
        for (const { afterMs, bound, usedShare, tookMs } of requests) {
          arrivesMs += afterMs
          at(arrivesMs, (nowMs) => {
            if (!mirror.fits(bound, nowMs)) {
              expect(mirror.waitMs(bound, nowMs)).toBeLessThanOrEqual(minuteMs * (1 + requests.length))
              return
            }
            const charged = mirror.charge(bound, nowMs)
            const used = Math.floor(bound * usedShare)
            at(nowMs + wayMs, (asksMs) => {
              const word = vendor.ask(bound, asksMs)
              expect(word).toBeDefined()
              at(asksMs + wayMs, (hearsMs) => {
                if (talks && word !== undefined) mirror.said(word, charged, hearsMs)
              })
              at(asksMs + tookMs, (endsMs) => {
                if (!keepsCharge) vendor.giveBack(bound - used, endsMs)
                at(endsMs + wayMs, (hearsMs) => mirror.settle(bound, used, hearsMs))
              })
            })
          })
        }
        for (let next = agenda.shift(); next !== undefined; next = agenda.shift()) next.act(next.dueMs)
        // When all is over, a minute fills it.
        expect(mirror.fits(limit, arrivesMs + 20_000 + minuteMs * (1 + requests.length * 2))).toBe(true)
      },
    ),
    { seed: 20_261_125, numRuns: 300 },
  )
})
