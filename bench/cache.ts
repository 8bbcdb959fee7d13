// How much of their prompts replicas find in their caches: `npm run bench:cache -- [--check] [--json] [--trace PATH]
// [--speed N]`.
//
// A trace with the blocks of its prompts (Mooncake's) is replayed over 16 replicas in the twin, each an endpoint of its
// own with a cache that forgets nothing, under the scheduler and under three simple rules in its place. The bound: one
// cache for all. Work is what a replica reads beyond its cache. `--check` exits with 1 where a wanted figure is missed.
import { parseArgs } from 'node:util'
import { blockTokens, readTrace } from '../src/cli/replay/trace.ts'
import { law } from '../src/cli/simulate/world.ts'
import { openTerminal } from '../src/cli/terminal.ts'
import type { LatencyModel } from '../src/simulator/latency.ts'
import { fittedReplica } from '../src/simulator/latency-table.ts'
import { scenarioSchema } from '../src/simulator/scenario-schema.ts'
import { simulate } from '../src/simulator/simulation.ts'
import { type Rule, rules } from './cache-rules.ts'

const replicas = 16
const concurrencyMax = 256
/** Of the bound. */
const hitsWanted = 0.97
/** The busiest replica's work over the mean. */
const imbalanceWanted = 1.05

/** Of the trace: about half a request in flight at a replica, two, and ten. */
const speeds = [1, 4, 16]

const { values } = parseArgs({
  options: {
    check: { type: 'boolean' },
    json: { type: 'boolean' },
    trace: { type: 'string', default: 'mooncake-conversation-40m' },
    speed: { type: 'string' },
  },
})
const trace = readTrace(values.trace, process.cwd())
const lastMs = trace.at(-1)?.atMs ?? 0
const latency = fittedReplica('h200', 'llama-3.1-70b', 8)?.latency as LatencyModel

const bound = boundOf()
const rows = (values.speed === undefined ? speeds : [Number(values.speed)]).flatMap((speed) =>
  rules.map((rule) => measured(rule, speed)),
)
const missed = rows.filter(
  ({ rule, hits, imbalance }) => rule === 'spillway' && (hits / bound < hitsWanted || imbalance > imbalanceWanted),
)
const percent = (share: number) => `${(100 * share).toFixed(1)}%`
const terminal = openTerminal({ ...process, cwd: process.cwd(), json: values.json === true })
terminal.result(
  { node: process.version, trace: values.trace, bound, rows, missed },
  [
    terminal.table(
      [
        'speed',
        'rule',
        'requests',
        'hits',
        'of the bound',
        'work, max / mean',
        'first token p50 / p99, ms',
        'in flight',
      ],
      rows.map((row) => [
        `${row.speed}x`,
        row.rule,
        String(row.requests),
        percent(row.hits),
        percent(row.hits / bound),
        row.imbalance.toFixed(3),
        `${Math.round(row.firstTokenMs[0])} / ${Math.round(row.firstTokenMs[1])}`,
        row.inFlight.toFixed(1),
      ]),
    ),
    `bound: ${percent(bound)} of ${trace.length} prompts' tokens`,
    ...missed.map(({ rule, speed }) => `missed: ${rule} at ${speed}x`),
  ].join('\n'),
)
if (values.check && missed.length > 0) process.exitCode = 1

/** Tokens that one cache for all would have, over all tokens of prompts. */
function boundOf(): number {
  const seen = new Set<number>()
  let hits = 0
  let all = 0
  for (const { blocks, inputTokens } of trace) {
    let known = 0
    while (known < blocks.length && seen.has(blocks[known] as number)) known++
    hits += Math.min(known * blockTokens, inputTokens - 1)
    all += inputTokens
    for (const block of blocks) seen.add(block)
  }
  return hits / all
}

function measured({ name, decider }: Rule, speed: number) {
  const work = new Float64Array(replicas)
  const outcome = simulate(scenarioAt(speed), {
    law,
    files: { traces: { [values.trace]: trace }, clients: {} },
    latencies: { own: latency },
    decider: (policy, random) => {
      const inner = decider(policy, random)
      const placeOf = new Map<number, number>()
      return {
        handle: (event, nowMs) => {
          if (event.kind === 'attempt-completed') {
            const at = placeOf.get(event.attemptId) as number
            work[at] = (work[at] as number) + event.tokens.input - event.tokens.cachedInput
          }
          const actions = inner.handle(event, nowMs)
          for (const action of actions)
            if (action.kind === 'dispatch') placeOf.set(action.attempt.id, action.attempt.endpoint.index)
          return actions
        },
        nextWakeMs: () => inner.nextWakeMs(),
      }
    },
  })
  const [tally] = outcome.recorder.tallies
  if (tally === undefined || tally.served !== trace.length) throw new Error(`${name} served ${tally?.served}`)
  const mean = work.reduce((sum, one) => sum + one, 0) / replicas
  const shares = outcome.utilisation[0] ?? []
  return {
    speed,
    rule: name,
    requests: tally.served,
    hits: tally.cachedTokens / tally.inputTokens,
    imbalance: Math.max(...work) / mean,
    firstTokenMs: [tally.firstTokenMs.atShare(0.5), tally.firstTokenMs.atShare(0.99)] as const,
    inFlight: (concurrencyMax * shares.reduce((sum, share) => sum + share, 0)) / shares.length,
  }
}

function scenarioAt(speed: number) {
  return scenarioSchema.parse({
    name: 'prefix caches',
    duration: `${Math.ceil(lastMs / speed / 1_000) + 120}s`,
    gateway: { country: 'GB' },
    models: { chat: {} },
    plans: { team: { priority: 10, firstToken: '60s' } },
    // One tenant, so that what is shared in the trace is shared here.
    tenants: { acme: { plan: 'team', country: 'GB', countries: 'any', subProcessors: 'any' } },
    pools: {
      own: {
        model: 'chat',
        subProcessor: 'self',
        country: 'GB',
        replicas,
        balancedBy: 'spillway',
        concurrencyMax,
        cacheTokens: 1_000_000_000,
      },
    },
    demand: [{ kind: 'trace', model: 'chat', tenants: { acme: 1 }, file: values.trace, speed }],
  })
}
