import { type Distribution, draw, drawGap } from './distribution.ts'
import { blockTokens } from './prefix-cache.ts'
import type { DemandSpec, Scenario } from './scenario-schema.ts'
import { Stream } from './stream.ts'

/** One request as it comes. */
export interface Arrival {
  /** Index among the tenants of the scenario. */
  readonly tenant: number
  readonly model: string
  /** Says how it is served. */
  readonly demand: Pick<DemandSpec, 'tier' | 'deadline'>
  readonly input: number
  readonly output: number
  /** Its prompt's blocks by identity; equal leading ones mean an equal beginning. */
  readonly blocks?: readonly number[]
  /** Requests with equal affinity begin alike. */
  readonly affinity?: string
}

/** A recorded request, as a reader of traces gives it. */
export interface TraceRow {
  readonly atMs: number
  readonly inputTokens: number
  readonly outputTokens: number
  readonly blocks: readonly number[]
}

/** A recorded client: how often it asks and how much, in windows of time. */
export interface ClientRecord {
  readonly rates: readonly { readonly fromMs: number; readonly perSecond: number; readonly variation: number }[]
  readonly input: Distribution
  readonly output: Distribution
}

/** Files that demand is made of, read by whoever may read files. */
export interface DemandFiles {
  readonly traces: Readonly<Record<string, readonly TraceRow[]>>
  readonly clients: Readonly<Record<string, readonly ClientRecord[]>>
}

/** Gives requests in the order of their time. Never uses what another source draws. */
export interface Source {
  /** When the next one comes; infinite after the last. */
  readonly nextMs: number
  /** Gives the one that comes now, and moves on. */
  take(): Arrival
  /** From now on requests come `times` as often; a recorded trace runs so much faster. */
  surge(times: number, nowMs: number): void
}

/** One customer of the simulated product. */
export interface Tenant {
  readonly id: string
  readonly group: string
}

/**
 * Requests by hour of day over their mean, from midnight on: all 61 days of BurstGPT (CC-BY-4.0; Wang et al., KDD 2025).
 */
const dayShape = [
  0.963, 0.914, 0.585, 0.525, 0.377, 0.35, 0.198, 0.157, 0.182, 0.426, 0.9, 1.317, 1.786, 1.537, 1.839, 1.435, 1.511,
  1.388, 1.21, 1.605, 1.385, 1.203, 1.156, 1.05,
]
const hourMs = 3_600_000

/** ServeGen's windows. */
const windowMs = 600_000

/** Every source of a scenario. `tenants`: all tenants, those of a group side by side. */
export function sourcesOf(scenario: Scenario, tenants: readonly Tenant[], files: DemandFiles): Source[] {
  return scenario.demand.flatMap((spec, index) => sourcesOfOne(spec, index, scenario.seed, tenants, files))
}

function sourcesOfOne(
  spec: DemandSpec,
  index: number,
  seed: number,
  tenants: readonly Tenant[],
  files: DemandFiles,
): Source[] {
  const groups = new Groups(spec, tenants)
  switch (spec.kind) {
    case 'steady':
      return groups.list.map((group) => new SteadySource(spec, group, seed, `${index} ${group.name}`))
    case 'trace':
      return [new TraceSource(spec, groups, files.traces[spec.file] ?? [], seed, index)]
    case 'clients':
      return (files.clients[spec.file] ?? []).map(
        (client, at) => new ClientSource(spec, groups, client, seed, `${index} client ${at}`),
      )
  }
}

interface Group {
  readonly name: string
  /** Its part of the demand. */
  readonly share: number
  readonly firstTenant: number
  readonly count: number
}

class Groups {
  readonly list: readonly Group[]

  constructor(spec: DemandSpec, tenants: readonly Tenant[]) {
    const total = Object.values(spec.tenants).reduce((sum, weight) => sum + weight, 0)
    this.list = Object.entries(spec.tenants).map(([name, weight]) => ({
      name,
      share: weight / total,
      firstTenant: tenants.findIndex(({ group }) => group === name),
      count: tenants.filter(({ group }) => group === name).length,
    }))
  }

  /** The tenant that two numbers in [0, 1) point to. */
  tenantAt(group: number, within: number): number {
    let before = 0
    for (const { share, firstTenant, count } of this.list) {
      before += share
      if (group < before) return firstTenant + Math.floor(within * count)
    }
    const last = this.list.at(-1) as Group
    return last.firstTenant + Math.floor(within * last.count)
  }
}

type SteadySpec = Extract<DemandSpec, { kind: 'steady' }>

/** Arrivals at a rate that follows a curve: drawn at the highest rate and thinned (Lewis and Shedler 1979). */
class SteadySource implements Source {
  nextMs: number
  readonly #spec: SteadySpec
  readonly #group: Group
  readonly #gaps: Stream
  readonly #sizes: Stream
  readonly #factorMax: number
  #times = 1

  constructor(spec: SteadySpec, group: Group, seed: number, name: string) {
    this.#spec = spec
    this.#group = group
    this.#gaps = new Stream(seed, `gaps ${name}`)
    this.#sizes = new Stream(seed, `sizes ${name}`)
    this.#factorMax =
      spec.curve === undefined
        ? 1
        : Math.max(...(spec.curve === 'day' ? dayShape : spec.curve.map(([, factor]) => factor)))
    this.nextMs = this.#next(0)
  }

  take(): Arrival {
    const { model, input, output, prefixes } = this.#spec
    const tenant = this.#group.firstTenant + this.#sizes.below(this.#group.count)
    const inputTokens = Math.max(1, Math.round(draw(input, this.#sizes)))
    const outputTokens = Math.max(1, Math.round(draw(output, this.#sizes)))
    const arrival = { tenant, model, demand: this.#spec, input: inputTokens, output: outputTokens }
    this.nextMs = this.#next(this.nextMs)
    if (prefixes === undefined || this.#sizes.next() >= prefixes.share) return arrival
    const prefix = this.#sizes.below(prefixes.count)
    const whole = Math.floor(Math.min(prefixes.tokens, inputTokens) / blockTokens)
    const first = (tenant * prefixes.count + prefix) * Math.ceil(prefixes.tokens / blockTokens)
    return { ...arrival, affinity: String(prefix), blocks: Array.from({ length: whole }, (_, at) => first + at) }
  }

  surge(times: number, nowMs: number): void {
    this.#times *= times
    if (Number.isFinite(this.nextMs)) this.nextMs = nowMs + (this.nextMs - nowMs) / times
  }

  #next(fromMs: number): number {
    const { requestsPerSecond, variation, curve } = this.#spec
    const meanMs = 1_000 / (requestsPerSecond * this.#group.share * this.#factorMax * this.#times)
    if (this.#factorMax === 0) return Number.POSITIVE_INFINITY
    let atMs = fromMs
    for (;;) {
      atMs += drawGap(meanMs, variation, this.#gaps)
      if (curve === undefined || this.#gaps.next() * this.#factorMax < factorAt(curve, atMs)) return atMs
    }
  }
}

function factorAt(curve: NonNullable<SteadySpec['curve']>, atMs: number): number {
  if (curve === 'day') {
    const hour = (atMs / hourMs) % 24
    const from = dayShape[Math.floor(hour)] as number
    const to = dayShape[(Math.floor(hour) + 1) % 24] as number
    return from + (to - from) * (hour - Math.floor(hour))
  }
  let [fromMs, from] = curve[0] as readonly [number, number]
  if (atMs <= fromMs) return from
  for (const [toMs, to] of curve) {
    if (atMs < toMs) return from + ((to - from) * (atMs - fromMs)) / (toMs - fromMs)
    fromMs = toMs
    from = to
  }
  return from
}

type TraceSpec = Extract<DemandSpec, { kind: 'trace' }>

/** A recorded trace as it is; tenants are drawn for it, one and the same for prompts that begin alike. */
class TraceSource implements Source {
  nextMs: number
  readonly #spec: TraceSpec
  readonly #groups: Groups
  readonly #rows: readonly TraceRow[]
  readonly #seed: number
  readonly #stream: Stream
  readonly #firstAt: number
  readonly #spanMs: number
  #at: number
  #round = 0
  #speed: number
  /** The moment since which the trace runs at this speed, and the moment of the trace that it was. */
  #sinceMs = 0
  #sinceTraceMs = 0

  constructor(spec: TraceSpec, groups: Groups, rows: readonly TraceRow[], seed: number, index: number) {
    this.#spec = spec
    this.#speed = spec.speed
    this.#groups = groups
    this.#rows = rows
    this.#seed = seed
    this.#stream = new Stream(seed, `trace ${index}`)
    const firstAt = rows.findIndex(({ atMs }) => atMs >= spec.from)
    this.#firstAt = firstAt < 0 ? rows.length : firstAt
    this.#at = this.#firstAt
    // Between the last request and the first of the next round lies the mean gap.
    const spanMs = (rows.at(-1)?.atMs ?? 0) - spec.from
    this.#spanMs = spanMs * (1 + 1 / Math.max(1, rows.length - this.#firstAt))
    this.nextMs = this.#dueMs()
  }

  take(): Arrival {
    const { inputTokens, outputTokens, blocks } = this.#rows[this.#at] as TraceRow
    this.#at++
    if (this.#at === this.#rows.length && this.#spec.repeat) {
      this.#at = this.#firstAt
      this.#round++
    }
    this.nextMs = this.#dueMs()
    // Nearly all prompts of a product share their first block; the second tells conversations apart.
    const conversation = blocks[1] ?? blocks[0]
    const drawn = conversation === undefined ? this.#stream : new Stream(this.#seed, conversation)
    const tenant = this.#groups.tenantAt(drawn.next(), drawn.next())
    const arrival = {
      tenant,
      model: this.#spec.model,
      demand: this.#spec,
      input: Math.max(1, inputTokens),
      output: Math.max(1, outputTokens),
    }
    return conversation === undefined ? arrival : { ...arrival, affinity: String(conversation), blocks }
  }

  surge(times: number, nowMs: number): void {
    this.#sinceTraceMs += (nowMs - this.#sinceMs) * this.#speed
    this.#sinceMs = nowMs
    this.#speed *= times
    this.nextMs = this.#dueMs()
  }

  #dueMs(): number {
    const row = this.#rows[this.#at]
    if (row === undefined) return Number.POSITIVE_INFINITY
    const traceMs = row.atMs - this.#spec.from + this.#round * this.#spanMs
    return this.#sinceMs + Math.max(0, traceMs - this.#sinceTraceMs) / this.#speed
  }
}

type ClientsSpec = Extract<DemandSpec, { kind: 'clients' }>

/** One recorded client, asking anew: gaps with the mean and the variation of each window of its record. */
class ClientSource implements Source {
  nextMs: number
  readonly #spec: ClientsSpec
  readonly #client: ClientRecord
  readonly #stream: Stream
  readonly #tenant: number
  #window = 0
  #times = 1

  constructor(spec: ClientsSpec, groups: Groups, client: ClientRecord, seed: number, name: string) {
    this.#spec = spec
    this.#client = client
    this.#stream = new Stream(seed, name)
    this.#tenant = groups.tenantAt(this.#stream.next(), this.#stream.next())
    this.nextMs = this.#next(0)
  }

  take(): Arrival {
    const { input, output } = this.#client
    const arrival = {
      tenant: this.#tenant,
      model: this.#spec.model,
      demand: this.#spec,
      input: Math.max(1, Math.round(draw(input, this.#stream))),
      output: Math.max(1, Math.round(draw(output, this.#stream))),
    }
    this.nextMs = this.#next(this.nextMs)
    return arrival
  }

  surge(times: number, nowMs: number): void {
    this.#times *= times
    if (Number.isFinite(this.nextMs)) this.nextMs = nowMs + (this.nextMs - nowMs) / times
  }

  #next(fromMs: number): number {
    const { rates } = this.#client
    let atMs = fromMs + this.#spec.from
    for (; this.#window < rates.length; this.#window++) {
      const { fromMs: beginMs, perSecond, variation } = rates[this.#window] as ClientRecord['rates'][number]
      const endMs = beginMs + windowMs
      if (endMs <= atMs || perSecond === 0) continue
      // What is left of a gap at the end of a window is drawn anew in the next.
      atMs =
        Math.max(atMs, beginMs) + drawGap(1_000 / (perSecond * this.#spec.rate * this.#times), variation, this.#stream)
      if (atMs < endMs) return atMs - this.#spec.from
      atMs = endMs
    }
    return Number.POSITIVE_INFINITY
  }
}
