import type { Stream } from './stream.ts'

/** How a number is distributed: one value, exponential, or straight lines between quantiles. */
export type Distribution =
  | number
  | { readonly mean: number }
  /** `[share, value]` from share 0 to share 1, both ascending. */
  | { readonly quantiles: readonly (readonly [share: number, value: number])[] }

export function draw(distribution: Distribution, stream: Stream): number {
  if (typeof distribution === 'number') return distribution
  if ('mean' in distribution) return distribution.mean * stream.exponential()
  return atShare(distribution.quantiles, stream.next())
}

/** The value that the given share of a distribution does not exceed. */
function atShare(quantiles: readonly (readonly [number, number])[], share: number): number {
  // Three times for each request of a simulation: no list is taken apart into names here.
  let before = quantiles[0] as readonly [number, number]
  for (let at = 0; at < quantiles.length; at++) {
    const next = quantiles[at] as readonly [number, number]
    if (share <= next[0]) {
      const width = next[0] - before[0]
      return width === 0 ? next[1] : before[1] + ((next[1] - before[1]) * (share - before[0])) / width
    }
    before = next
  }
  return before[1]
}

export function meanOf(distribution: Distribution): number {
  if (typeof distribution === 'number') return distribution
  if ('mean' in distribution) return distribution.mean
  const { quantiles } = distribution
  let mean = (quantiles[0]?.[1] ?? 0) * (quantiles[0]?.[0] ?? 0)
  for (let i = 1; i < quantiles.length; i++) {
    const [fromShare, from] = quantiles[i - 1] as readonly [number, number]
    const [toShare, to] = quantiles[i] as readonly [number, number]
    mean += ((toShare - fromShare) * (from + to)) / 2
  }
  return mean
}

/**
 * The next gap of arrivals with this mean and coefficient of variation: exponential at 1, two exponential phases with
 * balanced means above it, one of two Erlang distributions below it (Tijms, Stochastic Models, 1994, appendix B). Two
 * moments are met exactly, and none of it needs more than a square root.
 */
export function drawGap(mean: number, variation: number, stream: Stream): number {
  if (variation > 0.99 && variation < 1.01) return mean * stream.exponential()
  const squared = variation * variation
  if (variation > 1) {
    const first = (1 + Math.sqrt((squared - 1) / (squared + 1))) / 2
    const share = stream.next() < first ? first : 1 - first
    return (mean / (2 * share)) * stream.exponential()
  }
  if (variation === 0) return mean
  const stages = Math.ceil(1 / squared)
  const fewer = (stages * squared - Math.sqrt(stages * (1 + squared) - stages * stages * squared)) / (1 + squared)
  let sum = 0
  for (let left = stream.next() < fewer ? stages - 1 : stages; left > 0; left--) sum += stream.exponential()
  return (sum * mean) / (stages - fewer)
}
