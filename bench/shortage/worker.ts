// One of the workers of bench/shortage: gets a mapping and a seed, gives what every policy came to.
import { parentPort } from 'node:worker_threads'
import { openHighs } from './highs.ts'
import { runAll } from './run.ts'

export interface Task {
  readonly mapping: number
  readonly seed: number
  readonly policies: readonly string[]
}

const highs = await openHighs()
parentPort?.on('message', ({ mapping, seed, policies }: Task) => {
  parentPort?.postMessage(runAll(highs, mapping, seed, policies))
})
