import { describe, expect, test } from 'vitest'
import { draw, drawGap, meanOf } from './distribution.ts'
import { Stream } from './stream.ts'

function moments(next: () => number): { mean: number; variation: number } {
  const values = Array.from({ length: 200_000 }, next)
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
  return { mean, variation: Math.sqrt(variance) / mean }
}

describe('distributions', () => {
  test.each([0, 0.3, 0.7, 1, 2, 5])('gaps between arrivals have the asked mean and variation %d', (wanted) => {
    const stream = new Stream(1, `gaps ${wanted}`)
    const { mean, variation } = moments(() => drawGap(40, wanted, stream))
    expect(Math.abs(mean / 40 - 1)).toBeLessThan(0.04)
    expect(Math.abs(variation - wanted)).toBeLessThan(0.05 * Math.max(1, wanted))
  })

  test('values between quantiles lie on straight lines, and their mean is known without drawing', () => {
    const lengths = {
      quantiles: [
        [0, 1],
        [0.5, 100],
        [0.9, 400],
        [1, 1_000],
      ],
    } as const
    const stream = new Stream(1, 'lengths')
    const { mean } = moments(() => draw(lengths, stream))
    expect(meanOf(lengths)).toBeCloseTo(195.25, 6)
    expect(Math.abs(mean / 195.25 - 1)).toBeLessThan(0.02)
  })
})
