import type { Highs } from 'highs'

/** What may be done at one pool in one bucket of time. */
export interface PoolCapacity {
  /** By bucket: milliseconds of full replicas. */
  readonly workMs: Float64Array
}

/** Requests of one class with the same places to go to, first made in one bucket. */
export interface Cell {
  readonly bucket: number
  readonly valuePerToken: number
  /** Output tokens asked for. */
  readonly tokens: number
  /** By pool: milliseconds of a full replica that one of the tokens takes there; absent where they may not go. */
  readonly workMsPerToken: ReadonlyMap<number, number>
}

/** A request may be served where its client's retries take it: in its own bucket or one of so many after it. */
export const bucketsLater = 2

/**
 * The most value that anybody who knew all demand and every fault beforehand could serve: a linear program over cells,
 * pools and buckets. Requests count as a fluid, and of a cell's as mean ones.
 */
export function valueBound(highs: Highs, cells: readonly Cell[], pools: readonly PoolCapacity[]): number {
  const buckets = pools[0]?.workMs.length ?? 0
  const costs: number[] = []
  const starts = [0]
  const indices: number[] = []
  const values: number[] = []
  cells.forEach(({ bucket, valuePerToken, workMsPerToken }, row) => {
    for (const [pool, perToken] of workMsPerToken) {
      for (let at = bucket; at <= Math.min(bucket + bucketsLater, buckets - 1); at++) {
        if (pools[pool]?.workMs[at] === 0) continue
        costs.push(-valuePerToken)
        indices.push(row, cells.length + pool * buckets + at)
        values.push(1, perToken)
        starts.push(indices.length)
      }
    }
  })
  const numCols = costs.length
  const numRows = cells.length + pools.length * buckets
  return highs.withModel(
    {
      numCols,
      numRows,
      colCost: costs,
      colLower: new Float64Array(numCols),
      colUpper: new Float64Array(numCols).fill(Number.POSITIVE_INFINITY),
      rowLower: new Float64Array(numRows).fill(Number.NEGATIVE_INFINITY),
      rowUpper: [...cells.map(({ tokens }) => tokens), ...pools.flatMap(({ workMs }) => [...workMs])],
      matrix: { format: 'csc', numRows, numCols, starts, indices, values },
    },
    (model) => {
      model.options.set({ output_flag: false })
      model.run()
      return -model.getObjectiveValue()
    },
  )
}
