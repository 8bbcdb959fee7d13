/** The upper of the two middle values where there is no single one; not a number where there are none. */
export function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(1)}%`
}
