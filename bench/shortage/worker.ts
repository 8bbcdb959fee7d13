// One of the workers of bench/shortage: is given a task, gives what every policy came to in it.
import { parentPort } from 'node:worker_threads'
import { type DayRun, runBurstDay } from './burst-day.ts'
import { openHighs } from './highs.ts'
import { type PolicyRun, runAll } from './run.ts'

export type Task =
  | { readonly kind: 'loss'; readonly mapping: number; readonly seed: number; readonly policies: readonly string[] }
  | { readonly kind: 'day'; readonly seed: number; readonly policies: readonly string[] }

export interface TaskResult {
  readonly runs: readonly PolicyRun[]
  readonly days: readonly DayRun[]
}

const highs = await openHighs()
parentPort?.on('message', (task: Task) => {
  parentPort?.postMessage(resultOf(task))
})

function resultOf(task: Task): TaskResult {
  if (task.kind === 'loss') return { runs: runAll(highs, task.mapping, task.seed, task.policies), days: [] }
  return { runs: [], days: task.policies.map((policy) => runBurstDay(highs, policy, task.seed)) }
}
