import type { Point } from './points.ts'

const penalty = 1
const rounds = 4

/**
 * Predicts a time for any replica from all measured ones: in logarithms, a sum of what is due to the accelerator, the
 * model, the precision, the engine and pairs of them, each with its own slopes in concurrency, input and GPUs. Least
 * absolute deviation, slopes held back by a penalty.
 */
export function crossGroupModel(points: readonly Point[], value: (point: Point) => number): (point: Point) => number {
  const index = new Map<string, number>()
  const rows = points.map((point) =>
    featuresOf(point).map(([name, size]): [number, number] => {
      if (!index.has(name)) index.set(name, index.size)
      return [index.get(name) as number, size]
    }),
  )
  const slopes = [...index.keys()].map((name) => name.includes('~'))
  const targets = points.map((point) => Math.log(value(point)))
  let weights = points.map(() => 1)
  let solution = new Float64Array(index.size)
  for (let round = 0; round < rounds; round++) {
    solution = solve(rows, targets, weights, slopes)
    weights = rows.map((row, i) => 0.1 / Math.max(0.05, Math.abs(sum(row, solution) - (targets[i] as number))))
  }
  return (point) =>
    Math.exp(
      featuresOf(point).reduce((total, [name, size]) => {
        const at = index.get(name)
        return at === undefined ? total : total + size * (solution[at] as number)
      }, 0),
    )
}

function featuresOf(point: Point): [name: string, size: number][] {
  const { accelerator, weights, precision, engine } = point
  const concurrency = Math.log(point.concurrency)
  const input = Math.log(point.input / 1_024)
  const output = Math.log(point.output / 1_024)
  const gpus = Math.log(point.gpus)
  const split = Math.log(point.dataParallel)
  const features: [string, number][] = [
    ['one', 1],
    ['concurrency', concurrency],
    ['concurrency²', concurrency ** 2],
    ['input', input],
    ['input²', input ** 2],
    ['output', output],
    ['gpus', gpus],
    ['gpus²', gpus ** 2],
    ['split', split],
    ['concurrency·gpus', concurrency * gpus],
    ['concurrency·input', concurrency * input],
    ['concurrency·split', concurrency * split],
    ['gpus·input', gpus * input],
  ]
  for (const kind of [accelerator, weights, precision, engine])
    features.push([kind, 1], [`${kind}~c`, concurrency], [`${kind}~i`, input], [`${kind}~g`, gpus])
  const pairs = [
    `${weights}+${precision}`,
    `${accelerator}+${engine}`,
    `${weights}+${engine}`,
    `${accelerator}+${precision}`,
  ]
  for (const pair of pairs) features.push([`${pair}~`, 1])
  features.push([`${weights}+${engine}~c`, concurrency])
  return features
}

function sum(row: readonly (readonly [number, number])[], solution: Float64Array): number {
  return row.reduce((total, [at, size]) => total + size * (solution[at] as number), 0)
}

/** Ridge regression by Cholesky's factors. */
function solve(
  rows: readonly (readonly (readonly [number, number])[])[],
  targets: readonly number[],
  weights: readonly number[],
  slopes: readonly boolean[],
): Float64Array<ArrayBuffer> {
  const width = slopes.length
  const matrix = Array.from({ length: width }, () => new Float64Array(width))
  const solution = new Float64Array(width)
  const at = (row: number, column: number) => matrix[row]?.[column] as number
  rows.forEach((row, i) => {
    const weight = weights[i] as number
    for (const [a, aSize] of row) {
      solution[a] = (solution[a] as number) + weight * aSize * (targets[i] as number)
      const line = matrix[a] as Float64Array
      for (const [b, bSize] of row) line[b] = (line[b] as number) + weight * aSize * bSize
    }
  })
  for (let i = 0; i < width; i++) (matrix[i] as Float64Array)[i] = at(i, i) + (slopes[i] ? penalty : 1e-6)
  for (let column = 0; column < width; column++) {
    for (let before = 0; before < column; before++) {
      const factor = at(column, before)
      if (factor === 0) continue
      for (let row = column; row < width; row++)
        (matrix[row] as Float64Array)[column] = at(row, column) - at(row, before) * factor
    }
    const root = Math.sqrt(at(column, column))
    for (let row = column; row < width; row++) (matrix[row] as Float64Array)[column] = at(row, column) / root
  }
  for (let row = 0; row < width; row++) {
    for (let before = 0; before < row; before++)
      solution[row] = (solution[row] as number) - at(row, before) * (solution[before] as number)
    solution[row] = (solution[row] as number) / at(row, row)
  }
  for (let row = width - 1; row >= 0; row--) {
    for (let after = row + 1; after < width; after++)
      solution[row] = (solution[row] as number) - at(after, row) * (solution[after] as number)
    solution[row] = (solution[row] as number) / at(row, row)
  }
  return solution
}
