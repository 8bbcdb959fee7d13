import type { LatencyModel } from './latency.ts'
import table from './latency-table.json' with { type: 'json' }

/** What was fitted for one kind of replica. Errors are medians of the relative ones. */
export interface FittedReplica {
  readonly accelerator: string
  readonly weights: string
  readonly gpus: number
  readonly precision: string
  readonly engine: string
  readonly points: number
  /** The highest concurrency that was measured. */
  readonly concurrencyMax: number
  readonly medianError: { readonly first: number; readonly each: number }
  readonly latency: LatencyModel
}

/** Every kind that was measured; of one accelerator, model and number of GPUs the best measured first. */
export const fittedReplicas: readonly FittedReplica[] = table.map(({ first, each, ...row }) => ({
  ...row,
  latency: {
    first: {
      base: first[0] ?? 0,
      perToken: first[1] ?? 0,
      perRequest: first[2] ?? 0,
      perTokenAndRequest: first[3] ?? 0,
    },
    each: { base: each[0] ?? 0, perRequest: each[1] ?? 0, perKvToken: each[2] ?? 0 },
  },
}))

/** The best measured kind of these; undefined where there is none. */
export function fittedReplica(accelerator: string, weights: string, gpus: number): FittedReplica | undefined {
  return fittedReplicas.find((row) => row.accelerator === accelerator && row.weights === weights && row.gpus === gpus)
}
