/**
 * What it costs to put a gateway before a vendor: nginx, Portkey and Spillway on this machine, in one run.
 *
 *   npm run bench:gateway -- [--quick] [--check] [--json] [--only NAME[,NAME]]
 *
 * What is measured, and how: bench/README.md.
 */
import { execFileSync } from 'node:child_process'
import { cpus, release, totalmem, type } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { openTerminal } from '../../src/cli/terminal.ts'
import { contenders, direct, type Gateway, loadCore, missingTools, nginxVersion, portkeyVersion } from './contenders.ts'
import { Child, canPin, pinSelf, until } from './process.ts'
import { atShare, barsOf, emptyFigures, type Figures, rowOf, tableOf } from './report.ts'
import { idleStreamKib, latencies, pacedLoad, wholeLoad } from './workloads.ts'

interface Plan {
  readonly rounds: number
  /** Of each load. What runs on Node still gets cheaper for some 20 s while it is compiled. */
  readonly warmUpMs: number
  readonly wholeMs: number
  readonly pacedMs: number
  readonly promptMs: number
  readonly latencySamples: number
  readonly memoryRounds: number
}

const fullPlan: Plan = {
  rounds: 9,
  warmUpMs: 15_000,
  wholeMs: 4_000,
  pacedMs: 5_000,
  promptMs: 2_000,
  latencySamples: 1_000,
  memoryRounds: 3,
}
/** For CI: less than four minutes on two cores. */
const quickPlan: Plan = {
  rounds: 3,
  warmUpMs: 5_000,
  wholeMs: 2_500,
  pacedMs: 4_000,
  promptMs: 1_500,
  latencySamples: 200,
  memoryRounds: 1,
}
const connections = 32
const streams = 200
const idleStreams = 1_000
/** A quick run has few rounds, and CI's neighbours are busy: a figure may be off by so much before it counts as missed. */
const quickRoom = 0.25

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    check: { type: 'boolean' },
    json: { type: 'boolean' },
    only: { type: 'string' },
  },
})
const plan = values.quick === true ? quickPlan : fullPlan
const chosen = contenders.filter(
  ({ name }) => values.only?.toLowerCase().split(',').includes(name.toLowerCase()) ?? true,
)
const terminal = openTerminal({ ...process, cwd: process.cwd(), json: values.json === true })
const missing = missingTools()
if (missing.length > 0) {
  for (const line of missing) terminal.err(`bench:gateway: ${line}`)
  process.exit(2)
}
const pinned = canPin && cpus().length > 1
if (pinned) pinSelf(loadCore)
else terminal.err('bench:gateway: taskset or a second core is missing: nothing is pinned, the figures are rough')

const figuresByName = new Map<string, Figures>()
const steps = chosen.length * (1 + plan.rounds + plan.memoryRounds) + 1
const progress = terminal.progress('bench:gateway', steps)
let step = 0
const upstream = new Child(loadCore, process.execPath, [path.join(import.meta.dirname, 'upstream.ts')], {})
try {
  const portSaid = () => Number(/^(\d+)\n/.exec(upstream.said)?.[1]) || undefined
  const upstreamPort = await until(upstream, 'the mock vendor', portSaid)
  await measureCosts(upstreamPort)
  await measureMemory(upstreamPort)
  progress.end()
  report()
} catch (error) {
  terminal.err(`bench:gateway: ${(error as Error).message}`)
  process.exitCode = 1
} finally {
  await upstream.stop()
}

/** All gateways run side by side and are measured in turn, so that a change of the machine's mood falls on all. */
async function measureCosts(upstreamPort: number): Promise<void> {
  const gateways: Gateway[] = []
  try {
    for (const contender of chosen) gateways.push(await contender.start(upstreamPort))
    for (const gateway of gateways) {
      advance(`warming up ${gateway.target.name}`)
      await wholeLoad(gateway, 1_024, connections, plan.warmUpMs)
      await pacedLoad(gateway, streams, plan.warmUpMs)
    }
    for (let round = 0; round < plan.rounds; round++) {
      for (let turn = 0; turn < gateways.length; turn++) {
        const gateway = gateways[(turn + round) % gateways.length] as Gateway
        advance(`round ${round + 1}: ${gateway.target.name}`)
        await measureRound(gateway, figuresOf(gateway))
      }
    }
    advance('latencies')
    await measureLatencies(upstreamPort, gateways)
  } finally {
    for (const gateway of gateways) await gateway.stop()
  }
}

async function measureRound(gateway: Gateway, figures: Figures): Promise<void> {
  figures.whole.push(await wholeLoad(gateway, 1_024, connections, plan.wholeMs))
  figures.prompt16Kib.push(await wholeLoad(gateway, 16 * 1_024, connections, plan.promptMs))
  figures.prompt128Kib.push(await wholeLoad(gateway, 128 * 1_024, connections, plan.promptMs))
  const paced = await pacedLoad(gateway, streams, plan.pacedMs)
  figures.paced.push(paced)
  figures.busyFirstTokenMs.push(...paced.firstTokenMs)
}

async function measureLatencies(upstreamPort: number, gateways: readonly Gateway[]): Promise<void> {
  const [vendor, ...through] = await latencies(
    [direct(upstreamPort), ...gateways.map(({ target }) => target)],
    plan.latencySamples,
  )
  if (vendor === undefined) return
  const added = (own: readonly number[], vendors: readonly number[], share: number) =>
    atShare(own, share) - atShare(vendors, share)
  gateways.forEach((gateway, index) => {
    const own = through[index] ?? vendor
    figuresOf(gateway).added = {
      wholeP50Ms: added(own.wholeMs, vendor.wholeMs, 0.5),
      wholeP99Ms: added(own.wholeMs, vendor.wholeMs, 0.99),
      firstTokenP50Ms: added(own.firstTokenMs, vendor.firstTokenMs, 0.5),
      firstTokenP99Ms: added(own.firstTokenMs, vendor.firstTokenMs, 0.99),
    }
  })
}

/** Each in a fresh process, which has nothing in store from other loads. */
async function measureMemory(upstreamPort: number): Promise<void> {
  for (let round = 0; round < plan.memoryRounds; round++) {
    for (const contender of chosen) {
      advance(`${contender.name}: ${idleStreams} open streams`)
      const gateway = await contender.start(upstreamPort)
      try {
        figuresOf(gateway).streamKib.push(await idleStreamKib(gateway, idleStreams))
      } finally {
        await gateway.stop()
      }
    }
  }
}

function figuresOf({ target }: Gateway): Figures {
  let figures = figuresByName.get(target.name)
  if (figures === undefined) {
    figures = emptyFigures()
    figuresByName.set(target.name, figures)
  }
  return figures
}

function advance(note: string): void {
  progress.update(step++, note)
}

function report(): void {
  const rows = chosen.map(({ name }) => rowOf(name, figuresByName.get(name) ?? emptyFigures()))
  const bars = barsOf(rows, values.quick === true ? quickRoom : 0)
  const about = {
    command: `npm run bench:gateway${process.argv.length > 2 ? ` -- ${process.argv.slice(2).join(' ')}` : ''}`,
    commit: commit(),
    date: new Date().toISOString().slice(0, 16),
    machine: machine(),
    pinned,
    versions: `nginx ${nginxVersion()}, Portkey ${portkeyVersion()} and Spillway on Node ${process.version}`,
  }
  terminal.result(
    { ...about, rows, bars, rounds: Object.fromEntries(figuresByName) },
    [
      ...Object.entries(about).map(([name, value]) => `${name}: ${value}`),
      '',
      terminal.table(...tableOf(rows)),
      '',
      ...bars.map(
        ({ what, value, wanted, met }) =>
          `${met ? terminal.good('holds ') : terminal.bad('missed')}  ${what}: ${value.toFixed(2)} (wanted ${wanted})`,
      ),
    ].join('\n'),
  )
  if (values.check === true && bars.some(({ met }) => !met)) process.exitCode = 1
}

function machine() {
  const model = cpus()[0]?.model ?? 'unknown processor'
  const memoryGib = Math.round(totalmem() / 2 ** 30)
  return `${cpus().length} × ${model}, ${memoryGib} GiB, ${type()} ${release()}`
}

function commit(): string {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8' }).trim()
  try {
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') === '' ? '' : ' with changes')
  } catch {
    return 'unknown'
  }
}
