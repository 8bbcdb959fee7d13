// How fast the simulator is: `npm run bench:simulate -- [--check] [--json] [--gpus N]`.
//
// Fleets of replicas of eight GPUs in five vendors' pools, under requests with the lengths of a recorded trace. Two ways:
// each replica is an endpoint of its own to the scheduler, or each pool of at most 125 of them is one, whose vendor
// spreads the load. Times are processor times of this process with all its threads, so that neighbours on the machine
// matter less; they still do, since most of the time goes into waiting for memory. `--check` exits with 1 where a wanted
// figure is missed. Where the time goes: `node --cpu-prof bench/simulate.ts --gpus 100000`.
import { parseArgs } from 'node:util'
import { worldOf } from '../src/cli/simulate/world.ts'
import { openTerminal } from '../src/cli/terminal.ts'
import { scenarioSchema } from '../src/simulator/scenario-schema.ts'
import { simulate } from '../src/simulator/simulation.ts'

const gpusOfReplica = 8
const replicasOfPoolMax = 125

interface Fleet {
  readonly gpus: number
  readonly balancedBy: 'spillway' | 'vendor'
  /** Requests at one replica. */
  readonly perSecond: number
  readonly seconds: number
  readonly wantedSpeed?: number
  readonly wantedMegabytes?: number
}

/** Four a second at a replica are 50,000 a second over 100,000 GPUs, 4.3 thousand million a day; twenty are five times that. */
const fleets: readonly Fleet[] = [
  { gpus: 1_000, balancedBy: 'vendor', perSecond: 4, seconds: 600, wantedSpeed: 300 },
  { gpus: 1_000, balancedBy: 'spillway', perSecond: 4, seconds: 300, wantedSpeed: 300 },
  { gpus: 1_000, balancedBy: 'vendor', perSecond: 20, seconds: 120 },
  { gpus: 10_000, balancedBy: 'vendor', perSecond: 4, seconds: 60 },
  { gpus: 10_000, balancedBy: 'spillway', perSecond: 4, seconds: 60 },
  { gpus: 100_000, balancedBy: 'vendor', perSecond: 4, seconds: 15, wantedSpeed: 1, wantedMegabytes: 1_000 },
  { gpus: 100_000, balancedBy: 'spillway', perSecond: 4, seconds: 15, wantedSpeed: 1, wantedMegabytes: 1_000 },
  { gpus: 100_000, balancedBy: 'spillway', perSecond: 20, seconds: 5 },
]

const { values } = parseArgs({
  options: { check: { type: 'boolean' }, json: { type: 'boolean' }, gpus: { type: 'string' } },
})
const rows = fleets.filter(({ gpus }) => values.gpus === undefined || Number(values.gpus) === gpus).map(measured)
const missed = rows.filter(
  ({ speed, megabytes, wantedSpeed = 0, wantedMegabytes = Number.POSITIVE_INFINITY }) =>
    speed < wantedSpeed || megabytes > wantedMegabytes,
)
const terminal = openTerminal({ ...process, cwd: process.cwd(), json: values.json === true })
terminal.result(
  { node: process.version, rows, missed },
  [
    terminal.table(
      ['GPUs', 'balanced by', 'requests/s', 'events/s', 'decisions/s', 'speed', 'wanted', 'memory', 'digest'],
      rows.map((row) => [
        String(row.gpus),
        row.balancedBy,
        String(row.requestsPerSecond),
        String(Math.round(row.eventsPerSecond)),
        String(Math.round(row.decisionsPerSecond)),
        `${row.speed.toFixed(2)}x`,
        row.wantedSpeed === undefined ? '' : `${row.wantedSpeed}x`,
        `${Math.round(row.megabytes)} MB`,
        row.digest,
      ]),
    ),
    ...missed.map(({ gpus, balancedBy }) => `missed: ${gpus} GPUs, balanced by ${balancedBy}`),
  ].join('\n'),
)
if (values.check && missed.length > 0) process.exitCode = 1

function measured({ gpus, balancedBy, perSecond, seconds, ...wanted }: Fleet) {
  const replicas = gpus / gpusOfReplica
  const pools = 5 * Math.ceil(replicas / 5 / replicasOfPoolMax)
  const scenario = scenarioSchema.parse({
    name: `${gpus} GPUs`,
    duration: `${seconds}s`,
    gateway: { country: 'GB' },
    models: { chat: {} },
    plans: { enterprise: { priority: 30 }, team: { priority: 20 }, api: { priority: 10 } },
    tenants: {
      enterprise: { plan: 'enterprise', country: 'GB', count: 100, countries: ['GB', 'NL'], subProcessors: 'any' },
      team: { plan: 'team', country: 'NL', count: 300, countries: 'any', subProcessors: 'any' },
      api: { plan: 'api', country: 'US', count: 600, countries: 'any', subProcessors: ['one', 'two', 'three'] },
    },
    pools: Object.fromEntries(
      Array.from({ length: pools }, (_, at) => [
        `pool-${at}`,
        {
          model: 'chat',
          subProcessor: ['one', 'two', 'three', 'four', 'five'][at % 5],
          country: ['US', 'GB', 'NL', 'JP', 'US'][at % 5],
          replicas: Math.round(replicas / pools),
          balancedBy,
          accelerator: 'h200',
          weights: 'gpt-oss-120b',
          gpus: gpusOfReplica,
          concurrencyMax: 96,
        },
      ]),
    ),
    demand: [
      {
        kind: 'steady',
        model: 'chat',
        tenants: { enterprise: 20, team: 40, api: 40 },
        requestsPerSecond: perSecond * replicas,
        // The quantiles of Azure's conversation trace of 2023.
        input: {
          quantiles: [
            [0, 3],
            [0.5, 1_015],
            [0.9, 4_074],
            [0.99, 4_121],
            [1, 14_050],
          ],
        },
        output: {
          quantiles: [
            [0, 1],
            [0.5, 115],
            [0.9, 421],
            [0.99, 598],
            [1, 1_000],
          ],
        },
      },
    ],
  })
  const world = worldOf(scenario, '.')
  // The compiler's warm-up counts once, not in every fleet.
  simulate({ ...scenario, duration: Math.min(2_000, (1_000_000 * 8) / gpus) }, world)
  const before = process.cpuUsage()
  const outcome = simulate(scenario, world)
  const { user, system } = process.cpuUsage(before)
  const cpuSeconds = (user + system) / 1e6
  return {
    gpus,
    balancedBy,
    requestsPerSecond: perSecond * replicas,
    eventsPerSecond: outcome.events / cpuSeconds,
    decisionsPerSecond: outcome.decisions / cpuSeconds,
    speed: seconds / cpuSeconds,
    megabytes: process.resourceUsage().maxRSS / 1_024,
    digest: outcome.digest,
    ...wanted,
  }
}
