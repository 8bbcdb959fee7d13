/** Coefficients of a sum of non-negative parts, and how far the middle one of its values is from the truth. */
export interface Fit {
  readonly coefficients: readonly number[]
  readonly medianError: number
}

const rounds = 30
const sweeps = 400

/**
 * Least absolute relative error over non-negative coefficients: relative, since milliseconds at one end of a curve are
 * seconds at the other; absolute, so that a few bad measurements do not pull the rest. Iteratively reweighted least
 * squares, each solved by coordinate descent.
 */
export function nonNegativeFit(parts: readonly (readonly number[])[], values: readonly number[]): Fit {
  const width = parts[0]?.length ?? 0
  // Each row over its value, each column over its size: what is fitted is 1, with numbers near 1.
  const sizes = Array.from(
    { length: width },
    (_, column) => Math.max(...parts.map((row, i) => (row[column] as number) / (values[i] as number))) || 1,
  )
  const rows = parts.map((row, i) =>
    row.map((part, column) => part / (values[i] as number) / (sizes[column] as number)),
  )
  let weights = rows.map(() => 1)
  let scaled = new Array<number>(width).fill(0)
  for (let round = 0; round < rounds; round++) {
    scaled = descend(rows, weights, scaled)
    weights = rows.map((row) => 1 / Math.max(0.01, Math.abs(dot(row, scaled) - 1)))
  }
  const errors = rows.map((row) => Math.abs(dot(row, scaled) - 1)).sort((a, b) => a - b)
  return {
    coefficients: scaled.map((value, column) => Number((value / (sizes[column] as number)).toPrecision(6))),
    medianError: Number((errors[Math.floor(errors.length / 2)] ?? 0).toPrecision(3)),
  }
}

function descend(rows: readonly (readonly number[])[], weights: readonly number[], start: readonly number[]): number[] {
  const solution = [...start]
  const left = rows.map((row) => 1 - dot(row, solution))
  for (let sweep = 0; sweep < sweeps; sweep++) {
    for (let column = 0; column < solution.length; column++) {
      let gain = 0
      let curve = 0
      rows.forEach((row, i) => {
        const part = row[column] as number
        gain += (weights[i] as number) * part * (left[i] as number)
        curve += (weights[i] as number) * part * part
      })
      if (curve === 0) continue
      const step = Math.max(-(solution[column] as number), gain / curve)
      solution[column] = (solution[column] as number) + step
      rows.forEach((row, i) => {
        left[i] = (left[i] as number) - step * (row[column] as number)
      })
    }
  }
  return solution
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] as number), 0)
}
