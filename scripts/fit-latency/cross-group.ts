import { covariance, type Kinship, type Reach } from './kinship.ts'
import { nonNegativeFit } from './non-negative-fit.ts'
import { eachTokenParts, firstTokenParts } from './physics.ts'
import type { Point } from './points.ts'

/** How one of the two times is predicted. */
interface Recipe {
  readonly value: (point: Point) => number
  readonly parts: (point: Point) => number[]
  readonly kinships: readonly Kinship[]
  readonly reach: Reach
}

/**
 * The kinships and reaches were searched for by keeping out whole groups of those of turns 2 to 4 (see
 * ../fit-latency.ts), without those of turns 0 and 1.
 */
const recipes = {
  first: {
    value: ({ firstTokenMs }) => firstTokenMs,
    parts: firstTokenParts,
    reach: { concurrency: 2.5, input: 2, output: 2, gpus: 2, splitByRequest: 1.4, splitByExpert: 2 },
    kinships: [
      { of: [], curve: 0.21 },
      { of: ['model'], level: 0.21, curve: 0.3 },
      { of: ['family'], level: 0.3 },
      { of: ['engine'], level: 0.6, curve: 0.3 },
      { of: ['model', 'precision'], level: 0.4, curve: 0.45 },
      { of: ['generation', 'precision'], level: 0.15, curve: 0.15 },
      { of: ['accelerator', 'engine'], level: 0.22 },
      { of: ['generation', 'engine'], level: 0.34 },
      { of: ['family', 'engine'], level: 0.3 },
      { of: ['family', 'generation'], curve: 0.3 },
      { of: ['engine', 'precision'], curve: 0.3 },
    ],
  },
  each: {
    value: ({ eachTokenMs }) => eachTokenMs,
    parts: eachTokenParts,
    reach: { concurrency: 2.5, input: 1, output: 2, gpus: 2.8, splitByRequest: 2.8, splitByExpert: 0.25 },
    kinships: [
      { of: [], curve: 0.3 },
      { of: ['accelerator'], level: 0.1 },
      { of: ['generation'], curve: 0.14 },
      { of: ['model'], curve: 0.15 },
      { of: ['family'], level: 0.15 },
      { of: ['engine'], level: 0.3 },
      { of: ['model', 'precision'], level: 0.1 },
      { of: ['generation', 'precision'], level: 0.1, curve: 0.45 },
      { of: ['engine', 'version'], level: 0.1 },
      { of: ['model', 'engine', 'version'], level: 0.15 },
    ],
  },
} satisfies Record<string, Recipe>

/** What two measurements of the same differ by, in logarithms. */
const noise = 0.1

/**
 * Predicts a time for replicas from measured ones: a sum of physical parts, the same for all, times what a Gaussian
 * process makes of how far its kin are off (kriging; Rasmussen and Williams, Gaussian Processes for Machine Learning,
 * 2006, algorithm 2.1). Measurements far off all others count less the second time. Ms, in the order of `asked`.
 */
export function predictTimes(which: keyof typeof recipes, known: readonly Point[], asked: readonly Point[]): number[] {
  const { value, parts, kinships, reach }: Recipe = recipes[which]
  const { coefficients } = nonNegativeFit(known.map(parts), known.map(value))
  const physical = (point: Point) => parts(point).reduce((sum, part, i) => sum + part * (coefficients[i] as number), 0)
  const off = Float64Array.from(known, (point) => Math.log(value(point) / physical(point)))
  const between = covariance(kinships, reach, [...known, ...asked])
  const rows = known.map((_, a) => Float64Array.from({ length: a + 1 }, (_, b) => between(a, b)))
  let variances = known.map(() => noise ** 2)
  let solution = solve(rows, variances, off)
  variances = variances.map(
    (variance, i) => variance * Math.max(1, Math.abs((solution[i] as number) * variance) / noise),
  )
  solution = solve(rows, variances, off)
  return asked.map((point, at) => {
    const log = known.reduce((sum, _, i) => sum + between(known.length + at, i) * (solution[i] as number), 0)
    return physical(point) * Math.exp(log)
  })
}

/** Solves for a symmetric matrix, given by its lower half and what is added to its diagonal, by Cholesky's factors. */
function solve(half: readonly Float64Array[], diagonal: readonly number[], right: Float64Array): Float64Array {
  const factor = half.map((row) => row.slice())
  const solution = right.slice()
  factor.forEach((row, a) => {
    row[a] = (row[a] as number) + (diagonal[a] as number)
    for (let b = 0; b <= a; b++) {
      const other = factor[b] as Float64Array
      let sum = row[b] as number
      for (let k = 0; k < b; k++) sum -= (row[k] as number) * (other[k] as number)
      row[b] = a === b ? Math.sqrt(sum) : sum / (other[b] as number)
    }
    let left = solution[a] as number
    for (let k = 0; k < a; k++) left -= (row[k] as number) * (solution[k] as number)
    solution[a] = left / (row[a] as number)
  })
  for (let a = factor.length - 1; a >= 0; a--) {
    const row = factor[a] as Float64Array
    solution[a] = (solution[a] as number) / (row[a] as number)
    for (let k = 0; k < a; k++) solution[k] = (solution[k] as number) - (row[k] as number) * (solution[a] as number)
  }
  return solution
}
