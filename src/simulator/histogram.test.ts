import { expect, test } from 'vitest'
import { Histogram } from './histogram.ts'
import { Stream } from './stream.ts'

test('percentiles of a histogram are within three percent of those of the values', () => {
  const histogram = new Histogram()
  const stream = new Stream(1, 'values')
  const values = Array.from({ length: 20_000 }, () => 300 * stream.exponential() ** 2)
  for (const value of values) histogram.add(value)
  values.sort((a, b) => a - b)
  for (const share of [0.01, 0.5, 0.95, 0.99, 1]) {
    const exact = values[Math.ceil(share * values.length) - 1] as number
    expect(Math.abs(histogram.atShare(share) - exact)).toBeLessThanOrEqual(0.03 * exact + 0.07)
  }
  expect(histogram.max).toBe(values.at(-1))
})

test('two histograms together are the histogram of all their values', () => {
  const [one, other, both] = [new Histogram(), new Histogram(), new Histogram()]
  for (const value of [0, 0.01, 5, 80]) {
    one.add(value)
    both.add(value)
  }
  for (const value of [7, 4_000_000_000]) {
    other.add(value)
    both.add(value)
  }
  one.addAll(other)
  expect([0.1, 0.5, 0.9, 1].map((share) => one.atShare(share))).toEqual(
    [0.1, 0.5, 0.9, 1].map((share) => both.atShare(share)),
  )
  expect([one.count, one.mean, one.max]).toEqual([both.count, both.mean, both.max])
})

test('where nearly all values are nothing, so are the percentiles', () => {
  const histogram = new Histogram()
  for (let i = 0; i < 99; i++) histogram.add(0)
  histogram.add(40)
  expect([0.5, 0.95, 1].map((share) => histogram.atShare(share))).toEqual([0, 0, 40])
})
