// What one decision of the scheduler costs: `npm run bench:route -- [--check] [--json]`.
//
// Every number is the time of single calls of `Scheduler.handle`, over a fleet where, besides endpoints at work, some
// are full, some held by their vendor's Retry-After, some ejected. The scheduler does the same for the same seed, so each
// round is run several times over, and of each call the fastest counts: what a busy machine adds is not the scheduler's.
// Percentiles are over all calls of all rounds. `--check` exits with 1 where a wanted figure is missed.
import { parseArgs } from 'node:util'
import { openTerminal } from '../src/cli/terminal.ts'
import type { RoutingPreset } from '../src/core/endpoint.ts'
import { deepQueueRound, routingRound, type Timings } from './route-load.ts'

const seeds = [1, 2, 3, 4]
const repeats = 7
/** One routing decision over 600 endpoints. */
const decisionP99UsWanted = 20
/** Any event while 10,000 requests wait: well below a millisecond. */
const deepQueueP99UsWanted = 250

interface Row {
  readonly load: string
  readonly endpoints: number
  readonly call: string
  readonly minUs: number
  readonly p50Us: number
  readonly p99Us: number
  readonly maxUs: number
  readonly wantedP99Us?: number
}

const { values } = parseArgs({ options: { check: { type: 'boolean' }, json: { type: 'boolean' } } })
const presets: readonly RoutingPreset[] = ['interactive', 'cheapest', 'spill-over', 'pinned']
const rows: Row[] = []
for (const endpoints of [10, 100, 600]) {
  for (const preset of presets) {
    rows.push(
      ...measured(preset, endpoints, (seed) => routingRound(preset, endpoints, seed), {
        ...(endpoints === 600 && { 'request-arrived': decisionP99UsWanted }),
      }),
    )
  }
}
rows.push(...measured('10,000 waiting', 600, (seed) => deepQueueRound(600, 10_000, seed), deepQueueP99UsWanted))

const missed = rows.filter(({ p99Us, wantedP99Us }) => wantedP99Us !== undefined && p99Us > wantedP99Us)
const terminal = openTerminal({ ...process, cwd: process.cwd(), json: values.json === true })
const columns = ['load', 'endpoints', 'call', 'min µs', 'p50 µs', 'p99 µs', 'max µs', 'wanted p99 µs']
terminal.result(
  { node: process.version, repeats, rows, missed },
  [
    terminal.table(
      columns,
      rows.map((row) => [
        row.load,
        String(row.endpoints),
        row.call,
        ...[row.minUs, row.p50Us, row.p99Us, row.maxUs].map((micros) => micros.toFixed(2)),
        row.wantedP99Us === undefined ? '' : String(row.wantedP99Us),
      ]),
    ),
    ...missed.map(({ load, endpoints, call }) => `missed: ${call} over ${endpoints} endpoints, ${load}`),
  ].join('\n'),
)
if (values.check && missed.length > 0) process.exitCode = 1

/** Runs the rounds and gives a row for each kind of call. */
function measured(
  load: string,
  endpoints: number,
  round: (seed: number) => Timings,
  wanted: Readonly<Record<string, number>> | number,
): Row[] {
  const micros = new Map<string, number[]>()
  for (const seed of seeds) {
    const runs = Array.from({ length: repeats }, () => round(seed))
    for (const call of (runs[0] as Timings).keys()) {
      const fastest = fastestOf(runs.map((run) => run.get(call) ?? []))
      micros.set(call, [...(micros.get(call) ?? []), ...fastest])
    }
  }
  return [...micros].map(([call, times]) => {
    const sorted = times.sort((a, b) => a - b)
    const at = (share: number) => rounded(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)
    const wantedP99Us = typeof wanted === 'number' ? wanted : wanted[call]
    return {
      load,
      endpoints,
      call,
      minUs: at(0),
      p50Us: at(0.5),
      p99Us: at(0.99),
      maxUs: at(1),
      ...(wantedP99Us !== undefined && { wantedP99Us }),
    }
  })
}

function fastestOf(runs: readonly (readonly number[])[]): readonly number[] {
  const [first = [], ...others] = runs
  return first.map((micros, call) => Math.min(micros, ...others.map((run) => run[call] as number)))
}

function rounded(micros: number): number {
  return Math.round(micros * 100) / 100
}
