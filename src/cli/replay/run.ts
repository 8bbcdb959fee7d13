import { count } from './format.ts'
import type { ReplayResult } from './sender.ts'
import type { ReplaySummary } from './summary.ts'

/** A replay that has ended, as the reports tell of it. */
export interface ReplayRun {
  /** Name of the trace. */
  readonly trace: string
  readonly speed: number
  readonly url: string
  readonly model: string
  readonly keys: number
  /** Requests that were meant to be sent. */
  readonly planned: number
  /** It was ended by hand: not all were sent, or not all were waited for. */
  readonly partial: boolean
  readonly results: readonly ReplayResult[]
  readonly summary: ReplaySummary
}

/** What a reader must know before any figure; undefined where there is nothing. */
export function partialNote({ partial, planned, results }: ReplayRun): string | undefined {
  if (!partial) return undefined
  const givenUp = results.filter(({ ended }) => ended === 'given-up').length
  const open = givenUp === 0 ? '' : `, ${count(givenUp)} of them not waited for`
  return `Partial: ended by hand after ${count(results.length)} of ${count(planned)} requests${open}`
}

export function simulationNote({ summary: { simulated } }: ReplayRun): string | undefined {
  if (simulated === 0) return undefined
  return `Simulation: ${count(simulated)} answers came from demo clouds, whose times are computed and whose money is not real`
}
