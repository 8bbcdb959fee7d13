import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { costNanoUsd, maxCostNanoUsd } from './cost.ts'
import { PriceBook } from './price-book.ts'

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

  test('has the list prices of the open model that the demo serves', () => {
    const listed = new PriceBook().lookup('vertex', 'openai/gpt-oss-120b-maas', Date.UTC(2026, 10, 1))
    expect(listed?.prices).toEqual({ input: 0.15, cachedInput: 0.15, output: 0.6 })
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
