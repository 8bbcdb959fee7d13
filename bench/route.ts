// What one decision of the scheduler costs: `npm run bench:route -- [--check] [--json]`.
//
// Every number is the time of single calls of `Scheduler.handle`, over a fleet where, besides endpoints at work, some
// are full, some held by their vendor's Retry-After, some ejected. A round is a fresh scheduler and 2,000 requests.
// What the scheduler does is the same however busy the machine is, and neighbours can only add to it: calls during
// which the kernel took the processor away are left out, and of each figure the lower quartile over the rounds counts.
// `--check` exits with 1 where a wanted figure is missed.
import { parseArgs } from 'node:util'
import { openTerminal } from '../src/cli/terminal.ts'
import type { RoutingPreset } from '../src/core/endpoint.ts'
import { deepQueueRound, routingRound, type Timings } from './route-load.ts'

const rounds = 25
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
const presets: readonly RoutingPreset[] = ['interactive', 'cheapest', 'pinned']
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
  { node: process.version, rounds, rows, missed },
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

/** Runs the rounds, two more to warm up, and gives a row for each kind of call. */
function measured(
  load: string,
  endpoints: number,
  round: (seed: number) => Timings,
  wanted: Readonly<Record<string, number>> | number,
): Row[] {
  for (let seed = 1; seed <= 2; seed++) round(seed)
  const figures = new Map<string, { min: number[]; p50: number[]; p99: number[]; max: number[] }>()
  for (let seed = 3; seed < 3 + rounds; seed++) {
    for (const [call, micros] of round(seed)) {
      micros.sort((a, b) => a - b)
      const figure = figures.get(call) ?? { min: [], p50: [], p99: [], max: [] }
      figures.set(call, figure)
      figure.min.push(micros[0] as number)
      figure.p50.push(atShare(micros, 0.5))
      figure.p99.push(atShare(micros, 0.99))
      figure.max.push(micros.at(-1) as number)
    }
  }
  return [...figures].map(([call, { min, p50, p99, max }]) => {
    const wantedP99Us = typeof wanted === 'number' ? wanted : wanted[call]
    return {
      load,
      endpoints,
      call,
      minUs: undisturbed(min),
      p50Us: undisturbed(p50),
      p99Us: undisturbed(p99),
      maxUs: undisturbed(max),
      ...(wantedP99Us !== undefined && { wantedP99Us }),
    }
  })
}

function atShare(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number
}

function undisturbed(values: readonly number[]): number {
  return (
    Math.round(
      atShare(
        [...values].sort((a, b) => a - b),
        0.25,
      ) * 100,
    ) / 100
  )
}
