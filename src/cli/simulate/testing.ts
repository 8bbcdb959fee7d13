/** For tests: mean and variance (over the number of values) of a list. */
export function meanAndVariance(values: readonly number[]): { readonly mean: number; readonly variance: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length }
}

/** For tests: times between neighbours. */
export function gaps(times: readonly number[]): number[] {
  return times.slice(1).map((atMs, i) => atMs - (times[i] as number))
}

/** For tests: how many times fall into each whole bin; what comes after the last whole one counts nowhere. */
export function perBin(times: readonly number[], binMs: number): number[] {
  const lastMs = times.reduce((last, atMs) => Math.max(last, atMs), 0)
  const counts = new Array<number>(Math.ceil(lastMs / binMs) - 1).fill(0)
  for (const atMs of times) {
    const bin = Math.floor(atMs / binMs)
    if (bin < counts.length) counts[bin] = (counts[bin] as number) + 1
  }
  return counts
}

/** For tests: what is usually told of lengths in tokens; quantiles with straight lines between neighbours. */
export function lengths(values: readonly number[]) {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number) => {
    const place = share * (sorted.length - 1)
    const low = sorted[Math.floor(place)] as number
    return round(low + ((sorted[Math.ceil(place)] as number) - low) * (place % 1), 4)
  }
  const mean = round(meanAndVariance(values).mean, 2)
  return { mean, p50: at(0.5), p90: at(0.9), p95: at(0.95), p99: at(0.99), max: at(1) }
}

export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}
