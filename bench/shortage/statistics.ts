import { Stream } from '../../src/simulator/stream.ts'

export interface Interval {
  readonly mean: number
  readonly low: number
  readonly high: number
}

const resamples = 10_000

/**
 * Mean and 95% interval by the percentile bootstrap (Efron 1979) over independent units. Given differences of pairs
 * that shared their random numbers, it is the paired one. `seed` makes it repeatable.
 */
export function bootstrap(values: readonly number[], seed = 1): Interval {
  const stream = new Stream(seed, 'bootstrap')
  const means = new Float64Array(resamples)
  for (let at = 0; at < resamples; at++) {
    let sum = 0
    for (let i = 0; i < values.length; i++) sum += values[stream.below(values.length)] as number
    means[at] = sum / values.length
  }
  means.sort()
  return {
    mean: mean(values),
    low: means[Math.floor(0.025 * resamples)] as number,
    high: means[Math.floor(0.975 * resamples)] as number,
  }
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
