import type { Cost } from './workloads.ts'

/** Everything measured of one gateway; one entry a round. */
export interface Figures {
  readonly whole: Cost[]
  readonly paced: Cost[]
  readonly prompt16Kib: Cost[]
  readonly prompt128Kib: Cost[]
  readonly streamKib: number[]
  /** First tokens of the paced streams, so while 200 of them run. */
  readonly busyFirstTokenMs: number[]
  /** Above the vendor itself, one request at a time. */
  added: { wholeP50Ms: number; wholeP99Ms: number; firstTokenP50Ms: number; firstTokenP99Ms: number } | undefined
}

export function emptyFigures(): Figures {
  return {
    whole: [],
    paced: [],
    prompt16Kib: [],
    prompt128Kib: [],
    streamKib: [],
    busyFirstTokenMs: [],
    added: undefined,
  }
}

/** One gateway's line: medians over the rounds. */
export interface Row {
  readonly name: string
  readonly requestCpuUs: number
  /** Requests that one core's whole time would serve. */
  readonly requestsPerCoreSecond: number
  readonly chunkCpuUs: number
  readonly prompt16KibCpuUs: number
  readonly prompt128KibCpuUs: number
  readonly streamKib: number
  readonly addedP50Ms: number
  readonly addedP99Ms: number
  readonly addedFirstTokenP50Ms: number
  readonly addedFirstTokenP99Ms: number
  readonly busyFirstTokenP50Ms: number
}

export function rowOf(name: string, figures: Figures): Row {
  const requestCpuUs = cpuUs(figures.whole)
  return {
    name,
    requestCpuUs,
    requestsPerCoreSecond: 1e6 / requestCpuUs,
    chunkCpuUs: cpuUs(figures.paced),
    prompt16KibCpuUs: cpuUs(figures.prompt16Kib),
    prompt128KibCpuUs: cpuUs(figures.prompt128Kib),
    streamKib: atShare(figures.streamKib, 0.5),
    addedP50Ms: figures.added?.wholeP50Ms ?? Number.NaN,
    addedP99Ms: figures.added?.wholeP99Ms ?? Number.NaN,
    addedFirstTokenP50Ms: figures.added?.firstTokenP50Ms ?? Number.NaN,
    addedFirstTokenP99Ms: figures.added?.firstTokenP99Ms ?? Number.NaN,
    busyFirstTokenP50Ms: atShare(figures.busyFirstTokenMs, 0.5),
  }
}

const columns: readonly (readonly [name: string, cell: (row: Row, nginx: Row | undefined) => string])[] = [
  ['', ({ name }) => name],
  ['µs/request', ({ requestCpuUs }) => fixed(requestCpuUs, 1)],
  ['× nginx', (row, nginx) => times(row.requestCpuUs, nginx?.requestCpuUs)],
  ['requests/s a core', ({ requestsPerCoreSecond }) => fixed(requestsPerCoreSecond, 0)],
  ['µs/chunk', ({ chunkCpuUs }) => fixed(chunkCpuUs, 1)],
  ['× nginx', (row, nginx) => times(row.chunkCpuUs, nginx?.chunkCpuUs)],
  ['µs at 16 KiB', ({ prompt16KibCpuUs }) => fixed(prompt16KibCpuUs, 0)],
  ['µs at 128 KiB', ({ prompt128KibCpuUs }) => fixed(prompt128KibCpuUs, 0)],
  ['KiB/stream', ({ streamKib }) => fixed(streamKib, 1)],
  ['added p50 ms', ({ addedP50Ms }) => fixed(addedP50Ms, 2)],
  ['p99', ({ addedP99Ms }) => fixed(addedP99Ms, 2)],
  ['added first token p50 ms', ({ addedFirstTokenP50Ms }) => fixed(addedFirstTokenP50Ms, 2)],
  ['p99', ({ addedFirstTokenP99Ms }) => fixed(addedFirstTokenP99Ms, 2)],
  ['first token at 200 streams ms', ({ busyFirstTokenP50Ms }) => fixed(busyFirstTokenP50Ms, 2)],
]

/** Column names and cells for a terminal. */
export function tableOf(rows: readonly Row[]): readonly [readonly string[], readonly string[][]] {
  const nginx = rows.find(({ name }) => name === 'nginx')
  return [columns.map(([name]) => name), rows.map((row) => columns.map(([, cell]) => cell(row, nginx)))]
}

/** One figure that is wanted of Spillway. */
export interface Bar {
  readonly what: string
  readonly value: number
  readonly wanted: string
  readonly met: boolean
}

/** `room`: how far a figure may be from what is wanted, as a share, before it counts as missed. */
export function barsOf(rows: readonly Row[], room: number): Bar[] {
  const row = (name: string) => rows.find((candidate) => candidate.name === name)
  const [nginx, portkey, spillway] = [row('nginx'), row('Portkey'), row('Spillway')]
  if (nginx === undefined || portkey === undefined || spillway === undefined) return []
  const atMost = (what: string, value: number, max: number): Bar => ({
    what,
    value,
    wanted: `≤ ${max}`,
    met: value <= max * (1 + room),
  })
  const portkeyTimes = portkey.requestCpuUs / spillway.requestCpuUs
  return [
    atMost('CPU per request, × nginx', spillway.requestCpuUs / nginx.requestCpuUs, 6),
    atMost('CPU per chunk of a paced stream, × nginx', spillway.chunkCpuUs / nginx.chunkCpuUs, 2.8),
    atMost('memory of an open stream, KiB', spillway.streamKib, 32),
    {
      what: 'Portkey’s CPU per request, × ours',
      value: portkeyTimes,
      wanted: '≥ 6',
      met: portkeyTimes >= 6 / (1 + room),
    },
    atMost('added to the first token, p50, ms', spillway.addedFirstTokenP50Ms, 2),
  ]
}

/** The value below which `share` of the values lie. */
export function atShare(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

function cpuUs(costs: readonly Cost[]): number {
  return atShare(
    costs.map((cost) => cost.cpuUs),
    0.5,
  )
}

function fixed(value: number, digits: number): string {
  return Number.isNaN(value) ? '' : value.toFixed(digits)
}

function times(value: number, base: number | undefined): string {
  return base === undefined ? '' : (value / base).toFixed(2)
}
