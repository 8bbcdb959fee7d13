// The shortage control against simpler ones and the best there can be: `npm run bench:shortage`. See bench/README.md.
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { openTerminal } from '../../src/cli/terminal.ts'
import { oursName, policyNames, strictName } from './policies.ts'
import {
  type DaySummary,
  daySummaryOf,
  dayVerdictsOf,
  intervalText,
  type PolicySummary,
  percent,
  summaryOf,
  verdictsOf,
} from './report.ts'
import { mean } from './statistics.ts'
import type { Task, TaskResult } from './worker.ts'

const mappings = [1, 2, 3]
const seedsDefault = 30
const seedsQuick = 2
/** A whole day is long enough for chance to even out. */
const daySeedsMax = 3

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    quick: { type: 'boolean' },
    check: { type: 'boolean' },
    json: { type: 'boolean' },
    only: { type: 'string', multiple: true },
    workers: { type: 'string' },
  },
})
const seeds = Number(values.seeds ?? (values.quick ? seedsQuick : seedsDefault))
const policies = values.only === undefined ? policyNames : [...new Set([oursName, strictName, ...values.only])]
for (const policy of policies)
  if (!policyNames.includes(policy))
    throw new Error(`there is no policy ${policy}; known are ${policyNames.join(', ')}`)
const terminal = openTerminal({ ...process, cwd: process.cwd(), json: values.json === true })

const tasks: Task[] = Array.from({ length: seeds }, (_, at) =>
  mappings.map((mapping): Task => ({ kind: 'loss', mapping, seed: at + 1, policies })),
).flat()
const dayPolicies = [oursName, strictName]
for (let seed = 1; seed <= Math.min(seeds, daySeedsMax); seed++)
  tasks.push({ kind: 'day', seed, policies: dayPolicies })
const results = await allResults(tasks, Number(values.workers ?? availableParallelism()))
const runs = results.flatMap((result) => result.runs)
const days = results.flatMap((result) => result.days)
const of = (policy: string) => runs.filter((run) => run.policy === policy)
const summaries = policies.map((policy) => summaryOf(policy, of(policy), of(oursName)))
const daySummaries = dayPolicies.map((policy) => daySummaryOf(policy, days))
const [ours, strict] = [oursName, strictName].map((name) => summaries.find(({ policy }) => policy === name))
const verdicts = [
  ...verdictsOf(ours as PolicySummary, strict as PolicySummary, summaries),
  ...dayVerdictsOf(daySummaries[0] as DaySummary),
]
terminal.result(
  { node: process.version, seeds, mappings, summaries, daySummaries, verdicts, runs, days },
  [
    terminal.table(
      [
        'policy',
        'value of the bound',
        'ours more',
        ...Object.keys(ours?.goodput ?? {}),
        'tries',
        'worst s',
        'back after',
      ],
      summaries.map((row) => [
        row.policy,
        intervalText(row.value),
        row.policy === oursName ? '' : intervalText(row.oursMore),
        ...Object.values(row.goodput).map((share) => percent(share, 1)),
        row.attemptsMean.toFixed(2),
        row.attemptsWorstSecond.toFixed(2),
        row.recoverySecondsMax === null ? 'not at all' : `${row.recoverySecondsMax} s`,
      ]),
    ),
    `offered load: ${mean(runs.map(({ loads }) => loads[0])).toFixed(2)} × capacity, in the surge ${mean(runs.map(({ loads }) => loads[1])).toFixed(2)}`,
    '',
    terminal.table(
      ['a day of 11 times the usual', 'first token of priority, 95%', 'priority served', 'others, of the bound'],
      daySummaries.map((row) => [
        row.policy,
        `${Math.round(row.firstTokenMsP95)} ms`,
        percent(row.priorityGoodput),
        percent(row.restOfBound),
      ]),
    ),
    '',
    ...verdicts.map(({ wanted, measured, holds }) => {
      const line = `${holds ? 'holds ' : 'missed'}  ${wanted}: ${measured}`
      return holds ? terminal.good(line) : terminal.bad(line)
    }),
  ].join('\n'),
)
if (values.check && verdicts.some(({ holds }) => !holds)) process.exitCode = 1

/** Every task by one of so many workers; the results do not depend on who did what. */
async function allResults(todo: readonly Task[], count: number): Promise<TaskResult[]> {
  const done: TaskResult[] = []
  const progress = terminal.progress('runs', todo.length)
  let next = 0
  let finished = 0
  await Promise.all(
    Array.from({ length: Math.min(count, todo.length) }, async () => {
      const worker = new Worker(new URL('./worker.ts', import.meta.url))
      while (next < todo.length) {
        const at = next++
        worker.postMessage(todo[at])
        const [result] = (await once(worker, 'message')) as [TaskResult]
        done[at] = result
        progress.update(++finished)
      }
      await worker.terminate()
    }),
  )
  progress.end()
  return done
}
