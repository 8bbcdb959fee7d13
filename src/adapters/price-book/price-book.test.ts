import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ProviderConfig } from '../../config/config.ts'
import { costNanoUsd, maxCostNanoUsd } from './cost.ts'
import listPrices from './list-prices.json' with { type: 'json' }
import { PriceBook, type PriceTable, priceListOf } from './price-book.ts'

describe('the price book', () => {
  const book = new PriceBook({
    azure: {
      m: [
        ['2025-01-01', 2, 1, 8],
        ['2026-01-01', 1, 0.5, 4],
      ],
    },
  })

  test.each([
    ['2024-06-01', 2, 'list/2025-01-01'],
    ['2025-12-31', 2, 'list/2025-01-01'],
    ['2026-01-01', 1, 'list/2026-01-01'],
  ])('knows the price of %s', (date, input, version) => {
    const found = book.lookup('azure', 'm', Date.parse(date))
    expect(found?.prices.input).toBe(input)
    expect(found?.version).toBe(version)
  })

  test('knows no price rather than a wrong one', () => {
    expect(book.lookup('azure', 'other', 0)).toBeUndefined()
    expect(book.lookup('vertex', 'm', 0)).toBeUndefined()
    expect(book.lookup('azure', '__proto__', 0)).toBeUndefined()
  })

  test.each([
    ['azure', 'gpt-oss-120b'],
    ['vertex', 'openai/gpt-oss-120b-maas'],
    ['bedrock', 'openai.gpt-oss-120b-1:0'],
  ])('has the list price of the open model that the demo serves, at %s', (list, model) => {
    const listed = new PriceBook().lookup(list, model, Date.UTC(2026, 10, 1))
    expect(listed?.prices).toEqual({ input: 0.15, cachedInput: 0.15, output: 0.6 })
  })

  test('knows when a price changed', () => {
    const at = (date: string) => new PriceBook().lookup('bedrock', 'openai.gpt-oss-safeguard-20b', Date.parse(date))
    expect(at('2026-07-23')).toEqual({
      prices: { input: 0.07, cachedInput: 0.07, output: 0.2 },
      version: 'list/2026-02-27',
    })
    expect(at('2026-07-24')).toEqual({
      prices: { input: 0.075, cachedInput: 0.075, output: 0.3 },
      version: 'list/2026-07-24',
    })
  })

  test('has prices in order of their dates, and none that is nothing', () => {
    for (const [list, models] of Object.entries(listPrices as unknown as PriceTable)) {
      for (const [model, dated] of Object.entries(models)) {
        const dates = dated.map(([from]) => from)
        expect(dates, `${list}/${model}`).toEqual([...new Set(dates)].sort())
        for (const [from, input, cachedInput, output] of dated) {
          expect(from).toMatch(/^\d{4}-\d{2}-\d{2}$/)
          expect(Math.min(input, cachedInput, output), `${list}/${model}`).toBeGreaterThanOrEqual(0)
          expect(input + output, `${list}/${model}`).toBeGreaterThan(0)
        }
      }
    }
  })

  test.each([
    [{ kind: 'openai-compatible', baseUrl: 'https://api.openai.com/v1' }, 'openai'],
    [{ kind: 'openai-compatible', baseUrl: 'http://127.0.0.1:9000/v1' }, undefined],
    [{ kind: 'openai-compatible', baseUrl: 'https://api.openai.com.example.org/v1' }, undefined],
    [{ kind: 'bedrock', region: 'us-east-1' }, 'bedrock'],
  ])('looks for the prices of %o in the list %s', (provider, list) => {
    expect(priceListOf({ subProcessor: 'x', country: 'US', ...provider } as ProviderConfig)).toBe(list)
  })
})

describe('the cost of a request', () => {
  test('charges cached tokens at their own price', () => {
    expect(costNanoUsd({ input: 1_000, cachedInput: 400, output: 10 }, { input: 1, cachedInput: 0.5, output: 2 })).toBe(
      820_000,
    )
  })

  test('is never above what was held for it', () => {
    const price = fc.double({ min: 0, max: 100, noNaN: true })
    fc.assert(
      fc.property(fc.nat(1e6), fc.nat(1e6), fc.nat(1e6), price, price, price, (input, cached, output, pi, pc, po) => {
        const prices = { input: pi, cachedInput: pc, output: po }
        expect(costNanoUsd({ input, cachedInput: Math.min(cached, input), output }, prices)).toBeLessThanOrEqual(
          maxCostNanoUsd({ input, output }, prices),
        )
      }),
    )
  })
})
