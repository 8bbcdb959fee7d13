/** One measurement: a replica, what it was asked, and how long it took. */
export interface Point {
  readonly accelerator: string
  readonly weights: string
  readonly precision: string
  readonly engine: string
  /** Of one replica. */
  readonly gpus: number
  /** Ways in which attention is split by requests instead of by heads. */
  readonly dataParallel: number
  readonly input: number
  readonly output: number
  readonly concurrency: number
  readonly firstTokenMs: number
  readonly eachTokenMs: number
}

/** A first token later than this part of the whole answer was waited for in the engine's own queue. */
const queuedShare = 0.3
const concurrencyMax = 512

/**
 * Reads the measurements of replicas that do prompt and answer in one place. Leaves out those beyond saturation, where
 * what is measured is how long the test's own queue was, and repetitions of a measurement (the newest stays).
 */
export function readPoints(csv: string): Point[] {
  const [head = '', ...lines] = csv.trim().split('\n')
  const names = head.split(',')
  const newest = new Map<string, { point: Point; date: string }>()
  for (const line of lines) {
    const cells = line.split(',')
    const cell = (name: string) => cells[names.indexOf(name)] ?? ''
    const gpus = Number(cell('gpus')) || Number(cell('tp')) || 0
    if (cell('mode') !== 'agg' || gpus === 0) continue
    const point: Point = {
      accelerator: cell('system').replace(/_sxm$/, ''),
      // A vendor's own quantisation of the same weights is the same model at that precision.
      weights: (cell('model').split('/')[1] ?? '').replace(/-(FP8|NVFP4|Instruct)/g, '').toLowerCase(),
      precision: cell('precision') || 'bf16',
      engine: cell('backend'),
      gpus,
      dataParallel: Number(cell('attn_dp')) || 1,
      input: Number(cell('isl')),
      output: Number(cell('osl')),
      concurrency: Number(cell('concurrency')),
      firstTokenMs: Number(cell('ttft_ms')),
      eachTokenMs: Number(cell('tpot_ms')),
    }
    const { firstTokenMs, eachTokenMs, output, concurrency } = point
    if (!(firstTokenMs > 0) || !(eachTokenMs > 0) || concurrency > concurrencyMax) continue
    if (firstTokenMs > queuedShare * output * eachTokenMs && firstTokenMs > 5_000) continue
    const { firstTokenMs: _first, eachTokenMs: _each, ...setting } = point
    const key = JSON.stringify(setting)
    const date = cell('measured_date')
    if (date >= (newest.get(key)?.date ?? '')) newest.set(key, { point, date })
  }
  return [...newest.values()].map(({ point }) => point)
}
