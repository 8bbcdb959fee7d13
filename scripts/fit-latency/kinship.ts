import { accelerators, models } from './facts.ts'
import type { Point } from './points.ts'

const traits = {
  accelerator: (point: Point) => point.accelerator,
  generation: (point: Point) => accelerators[point.accelerator]?.generation ?? '',
  model: (point: Point) => point.weights,
  family: (point: Point) => models[point.weights]?.family ?? '',
  engine: (point: Point) => point.engine,
  version: (point: Point) => point.version,
  precision: (point: Point) => point.precision,
} satisfies Record<string, (point: Point) => string>

/**
 * How much those who have some traits in common are off together, in logarithms: `level` by the same factor whatever
 * they are asked, `curve` alike where they are asked alike.
 */
export interface Kinship {
  readonly of: readonly (keyof typeof traits)[]
  readonly level?: number
  readonly curve?: number
}

/** How far the questions may lie apart, by dimension, before what is off has no more to do with each other. */
export interface Reach {
  /** Of logarithms. */
  readonly concurrency: number
  readonly input: number
  readonly output: number
  readonly gpus: number
  /** Of yes and no. */
  readonly splitByRequest: number
  readonly splitByExpert: number
}

/** The covariance of what any two points are off by. */
export function covariance(kinships: readonly Kinship[], reach: Reach, points: readonly Point[]) {
  const names = kinships.map(({ of }) => {
    const known = new Map<string, number>()
    return Int32Array.from(points, (point) => {
      const name = of.map((trait) => traits[trait](point)).join(' ')
      if (!known.has(name)) known.set(name, known.size)
      return known.get(name) as number
    })
  })
  const levels = kinships.map(({ level = 0 }) => level ** 2)
  const curves = kinships.map(({ curve = 0 }) => curve ** 2)
  const places = points.map((point) => [
    Math.log(point.concurrency) / reach.concurrency,
    Math.log(point.input) / reach.input,
    Math.log(point.output) / reach.output,
    Math.log(point.gpus) / reach.gpus,
    Number(point.splitByRequest) / reach.splitByRequest,
    Number(point.splitByExpert) / reach.splitByExpert,
  ])
  return (a: number, b: number): number => {
    const [placeA, placeB] = [places[a] as readonly number[], places[b] as readonly number[]]
    let squared = 0
    for (let i = 0; i < placeA.length; i++) squared += ((placeA[i] as number) - (placeB[i] as number)) ** 2
    const nearness = Math.exp(-squared / 2)
    let sum = 0
    for (let k = 0; k < names.length; k++) {
      const name = names[k] as Int32Array
      if (name[a] === name[b]) sum += (levels[k] as number) + (curves[k] as number) * nearness
    }
    return sum
  }
}
