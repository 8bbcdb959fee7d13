import { models } from './facts.ts'

/** One measurement: a replica, what it was asked, and how long it took. */
export interface Point {
  readonly accelerator: string
  readonly weights: string
  readonly precision: string
  readonly engine: string
  /** Of the engine; empty where it is not told. */
  readonly version: string
  /** Of one replica. */
  readonly gpus: number
  /** Attention is split among the GPUs by requests instead of by heads. */
  readonly splitByRequest: boolean
  /** Whole experts lie on one GPU each, instead of a part of every expert on all. */
  readonly splitByExpert: boolean
  readonly input: number
  readonly output: number
  readonly concurrency: number
  readonly firstTokenMs: number
  readonly eachTokenMs: number
}

/** A first token later than this part of the whole answer was waited for in the engine's own queue. */
const queuedShare = 0.3
const concurrencyMax = 512
/** Of one machine. What is filed with more does prompts and answers in different places, whatever it says. */
const gpusMax = 8

/**
 * Reads the measurements of replicas that do prompt and answer in one place, the newest first. Leaves out those beyond
 * saturation, where what is measured is how long the test's own queue was, models of whose build nothing is known, and
 * what is filed twice.
 */
export function readPoints(csv: string): Point[] {
  const [head = '', ...lines] = csv.trim().split('\n')
  const names = head.split(',')
  const points = new Map<string, { point: Point; date: string }>()
  for (const line of lines) {
    const cells = line.split(',')
    const cell = (name: string) => cells[names.indexOf(name)] ?? ''
    const weights = weightsOf(cell('id'), cell('model'))
    const { gpus, ...split } = shapeOf(cell)
    if (cell('mode') !== 'agg' || gpus === 0 || gpus > gpusMax || models[weights] === undefined) continue
    const point: Point = {
      accelerator: cell('system').replace(/_sxm$/, ''),
      weights,
      precision: cell('precision') || 'bf16',
      engine: cell('backend'),
      version: cell('backend_version'),
      gpus,
      ...split,
      input: Number(cell('isl')),
      output: Number(cell('osl')),
      concurrency: Number(cell('concurrency')),
      firstTokenMs: Number(cell('ttft_ms')),
      eachTokenMs: Number(cell('tpot_ms')),
    }
    const { firstTokenMs, eachTokenMs, output, concurrency } = point
    if (!(firstTokenMs > 0) || !(eachTokenMs > 0) || !(concurrency > 0) || concurrency > concurrencyMax) continue
    if (firstTokenMs > queuedShare * output * eachTokenMs && firstTokenMs > 5_000) continue
    // Filed again under another name, with other digits after the third.
    const key = JSON.stringify([settingOf(point), firstTokenMs.toPrecision(3)])
    const date = cell('measured_date')
    if (date >= (points.get(key)?.date ?? '')) points.set(key, { point, date })
  }
  return [...points.values()].sort((a, b) => b.date.localeCompare(a.date, 'en')).map(({ point }) => point)
}

/** What was measured, without the times and the engine's version. */
export function settingOf({ firstTokenMs: _first, eachTokenMs: _each, version: _version, ...setting }: Point): string {
  return JSON.stringify(setting)
}

/** A vendor's own quantisation of the same weights is the same model at that precision. `dsr1` is filed as V3, too. */
function weightsOf(id: string, model: string): string {
  if (id.startsWith('dsr1_')) return 'deepseek-r1'
  return (model.split('/')[1] ?? '').replace(/-(FP8|NVFP4|Instruct)/g, '').toLowerCase()
}

/**
 * GPUs of a replica and how its work is split. Where experts are split, part of the file counts GPUs twice, as tensor
 * times expert ways: the same measurement stands there with 8 and with 64 GPUs, and its name says eight and eight.
 */
function shapeOf(cell: (name: string) => string): Pick<Point, 'gpus' | 'splitByRequest' | 'splitByExpert'> {
  const told = Number(cell('gpus')) || Number(cell('tp')) || 0
  const tensorWays = Number(cell('tp')) || 1
  const requestWays = Number(cell('attn_dp')) || 1
  const expertWays = Number(cell('moe_ep')) || 1
  const gpus =
    expertWays > 1 && told === expertWays ** 2 ? expertWays : requestWays > 1 && tensorWays > 1 ? tensorWays : told
  return { gpus, splitByRequest: requestWays > 1, splitByExpert: expertWays > 1 }
}
