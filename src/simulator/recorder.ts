import type { ErrorCode } from '../core/errors.ts'
import type { FailureKind } from '../core/failure.ts'
import type { ServiceTier } from '../core/service-class.ts'
import { Histogram, Histograms } from './histogram.ts'

/** What became of one tenant's requests. A request counts once, however often its client asked. */
export class Tally {
  offered = 0
  served = 0
  /** Served with a first token as soon as the plan wants it. */
  good = 0
  lost = 0
  /** What clients were told, each time they asked. */
  readonly refusals = new Map<ErrorCode, number>()
  cut = 0
  gaveUp = 0
  inputTokens = 0
  cachedTokens = 0
  outputTokens = 0
  goodTokens = 0
  /** Tokens asked for, input and output of all that was offered. */
  wantedTokens = 0
  /** Output that was made for nobody: of answers cut or given up. */
  wastedTokens = 0
  readonly firstTokenMs: Histogram
  readonly waitMs: Histogram

  constructor(firstTokenMs = new Histogram(), waitMs = new Histogram()) {
    this.firstTokenMs = firstTokenMs
    this.waitMs = waitMs
  }

  refused(code: ErrorCode): void {
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1)
  }

  addAll(other: Tally): void {
    this.offered += other.offered
    this.served += other.served
    this.good += other.good
    this.lost += other.lost
    for (const [code, count] of other.refusals) this.refusals.set(code, (this.refusals.get(code) ?? 0) + count)
    this.cut += other.cut
    this.gaveUp += other.gaveUp
    this.inputTokens += other.inputTokens
    this.cachedTokens += other.cachedTokens
    this.outputTokens += other.outputTokens
    this.goodTokens += other.goodTokens
    this.wantedTokens += other.wantedTokens
    this.wastedTokens += other.wastedTokens
    this.firstTokenMs.addAll(other.firstTokenMs)
    this.waitMs.addAll(other.waitMs)
  }
}

const fairnessWindowMs = 10_000

/**
 * Largest difference in tokens between two tenants of one plan that both had requests waiting throughout a window of
 * ten seconds: what a fair queue keeps bounded.
 */
export class ServiceGap {
  readonly #planOf: readonly string[]
  readonly #waiting: Int32Array
  readonly #wasIdle: Uint8Array
  readonly #tokens: Float64Array
  #windowEndMs = fairnessWindowMs
  /** 0 where no two tenants of a plan were ever backlogged together. */
  largest = 0

  /** `planOf[t]`: of tenant `t`. */
  constructor(planOf: readonly string[]) {
    this.#planOf = planOf
    this.#waiting = new Int32Array(planOf.length)
    this.#wasIdle = new Uint8Array(planOf.length).fill(1)
    this.#tokens = new Float64Array(planOf.length)
  }

  waits(tenant: number): void {
    this.#waiting[tenant] = (this.#waiting[tenant] as number) + 1
  }

  waitsNoMore(tenant: number): void {
    const left = (this.#waiting[tenant] as number) - 1
    this.#waiting[tenant] = left
    if (left === 0) this.#wasIdle[tenant] = 1
  }

  served(tenant: number, tokens: number): void {
    this.#tokens[tenant] = (this.#tokens[tenant] as number) + tokens
  }

  passTo(nowMs: number): void {
    while (nowMs >= this.#windowEndMs) {
      this.#closeWindow()
      this.#windowEndMs += fairnessWindowMs
    }
  }

  #closeWindow(): void {
    const least = new Map<string, number>()
    const most = new Map<string, number>()
    this.#planOf.forEach((plan, tenant) => {
      const tokens = this.#tokens[tenant] as number
      if (this.#wasIdle[tenant] === 0) {
        least.set(plan, Math.min(least.get(plan) ?? tokens, tokens))
        most.set(plan, Math.max(most.get(plan) ?? tokens, tokens))
      }
      this.#wasIdle[tenant] = this.#waiting[tenant] === 0 ? 1 : 0
    })
    this.#tokens.fill(0)
    for (const [plan, tokens] of most) this.largest = Math.max(this.largest, tokens - (least.get(plan) ?? tokens))
  }
}

/** Counts by time, for curves. */
export class TimeSeries {
  readonly stepMs: number
  readonly values: Float64Array

  constructor(durationMs: number, stepMs: number) {
    this.stepMs = stepMs
    this.values = new Float64Array(Math.ceil(durationMs / stepMs))
  }

  add(atMs: number, value: number): void {
    const step = Math.floor(atMs / this.stepMs)
    if (step < this.values.length) this.values[step] = (this.values[step] as number) + value
  }
}

const binsMax = 240

/** Takes down what happens; the report is made of it. */
export class Recorder {
  readonly gap: ServiceGap
  /** By the second in which requests were first made. */
  readonly offeredBySecond: TimeSeries
  readonly goodBySecond: TimeSeries
  /** By the second in which it happened. */
  readonly admittedBySecond: TimeSeries
  readonly attemptsBySecond: TimeSeries
  readonly binMs: number
  readonly offeredTokens: TimeSeries
  /** Good tokens by plan. */
  readonly goodTokens: ReadonlyMap<string, TimeSeries>
  readonly refusals: TimeSeries
  readonly waiting: TimeSeries
  readonly firstTokens: readonly Histogram[]
  readonly attemptFailures = new Map<FailureKind, number>()
  attempts = 0
  /** Requests that got a first try. */
  admitted = 0
  residencyBreaches = 0
  /** By tenant, then by tier. */
  readonly #firstTokenMs: Histograms
  readonly #waitMs: Histograms
  readonly #warmUpMs: number
  readonly #planOf: readonly string[]
  readonly #tallies: readonly Tally[]
  readonly #tiers: readonly ServiceTier[]

  /** `planOf[t]`: of tenant `t`. `tiers`: those that requests come with. */
  constructor(planOf: readonly string[], tiers: readonly ServiceTier[], durationMs: number, warmUpMs: number) {
    this.#warmUpMs = warmUpMs
    this.#planOf = planOf
    this.#tiers = tiers
    const parts = planOf.length * tiers.length
    this.#firstTokenMs = new Histograms(parts)
    this.#waitMs = new Histograms(parts)
    this.#tallies = Array.from(
      { length: parts },
      (_, part) => new Tally(this.#firstTokenMs.at(part), this.#waitMs.at(part)),
    )
    this.gap = new ServiceGap(planOf)
    this.offeredBySecond = new TimeSeries(durationMs, 1_000)
    this.goodBySecond = new TimeSeries(durationMs, 1_000)
    this.admittedBySecond = new TimeSeries(durationMs, 1_000)
    this.attemptsBySecond = new TimeSeries(durationMs, 1_000)
    this.binMs = Math.max(1_000, Math.ceil(durationMs / binsMax / 1_000) * 1_000)
    const series = () => new TimeSeries(durationMs, this.binMs)
    this.offeredTokens = series()
    this.goodTokens = new Map([...new Set(planOf)].map((plan) => [plan, series()]))
    this.refusals = series()
    this.waiting = series()
    this.firstTokens = Array.from({ length: this.offeredTokens.values.length }, () => new Histogram())
  }

  /** One for each tenant, over all tiers. */
  get tallies(): readonly Tally[] {
    return this.#planOf.map((_, tenant) => {
      const sum = new Tally()
      for (const tier of this.#tiers) sum.addAll(this.#tally(tenant, tier))
      return sum
    })
  }

  /** By plan and tier, where there were requests: one tally for each tenant that made any. */
  get classes(): readonly { readonly plan: string; readonly tier: ServiceTier; readonly tallies: readonly Tally[] }[] {
    return [...new Set(this.#planOf)].flatMap((plan) =>
      this.#tiers.flatMap((tier) => {
        const tallies = this.#planOf.flatMap((planOfTenant, tenant) =>
          planOfTenant === plan ? [this.#tally(tenant, tier)] : [],
        )
        const asking = tallies.filter(({ offered }) => offered > 0)
        return asking.length === 0 ? [] : [{ plan, tier, tallies: asking }]
      }),
    )
  }

  offered(tenant: number, tier: ServiceTier, tokens: number, bornMs: number): void {
    this.offeredBySecond.add(bornMs, 1)
    this.offeredTokens.add(bornMs, tokens)
    if (bornMs < this.#warmUpMs) return
    const tally = this.#tally(tenant, tier)
    tally.offered++
    tally.wantedTokens += tokens
  }

  dispatched(tenant: number, tier: ServiceTier, first: boolean, waitMs: number, tokens: number, nowMs: number): void {
    this.attemptsBySecond.add(nowMs, 1)
    if (first) this.admittedBySecond.add(nowMs, 1)
    this.gap.served(tenant, tokens)
    if (nowMs < this.#warmUpMs) return
    this.attempts++
    if (!first) return
    this.admitted++
    this.#waitMs.add(this.#partOf(tenant, tier), waitMs)
  }

  attemptFailed(kind: FailureKind): void {
    this.attemptFailures.set(kind, (this.attemptFailures.get(kind) ?? 0) + 1)
  }

  /** `firstTokenMs`: from when the client asked to when it had the first token. */
  served(
    tenant: number,
    tier: ServiceTier,
    tokens: { readonly input: number; readonly cachedInput: number; readonly output: number },
    firstTokenMs: number,
    goalMs: number,
    bornMs: number,
  ): void {
    const good = firstTokenMs <= goalMs
    const all = tokens.input + tokens.output
    if (good) {
      this.goodBySecond.add(bornMs, 1)
      this.goodTokens.get(this.#planOf[tenant] as string)?.add(bornMs, all)
    }
    this.firstTokens[Math.floor(bornMs / this.binMs)]?.add(firstTokenMs)
    if (bornMs < this.#warmUpMs) return
    const tally = this.#tally(tenant, tier)
    tally.served++
    tally.inputTokens += tokens.input
    tally.cachedTokens += tokens.cachedInput
    tally.outputTokens += tokens.output
    this.#firstTokenMs.add(this.#partOf(tenant, tier), firstTokenMs)
    if (!good) return
    tally.good++
    tally.goodTokens += all
  }

  refused(tenant: number, tier: ServiceTier, code: ErrorCode, nowMs: number): void {
    this.refusals.add(nowMs, 1)
    if (nowMs >= this.#warmUpMs) this.#tally(tenant, tier).refused(code)
  }

  /** An answer ended before it was whole. */
  cut(tenant: number, tier: ServiceTier, tokens: number, nowMs: number): void {
    if (nowMs < this.#warmUpMs) return
    const tally = this.#tally(tenant, tier)
    tally.cut++
    tally.wastedTokens += tokens
  }

  gaveUp(tenant: number, tier: ServiceTier, tokens: number, nowMs: number): void {
    if (nowMs < this.#warmUpMs) return
    const tally = this.#tally(tenant, tier)
    tally.gaveUp++
    tally.wastedTokens += tokens
  }

  /** Its client asks no more. */
  lost(tenant: number, tier: ServiceTier, bornMs: number): void {
    if (bornMs >= this.#warmUpMs) this.#tally(tenant, tier).lost++
  }

  #tally(tenant: number, tier: ServiceTier): Tally {
    return this.#tallies[this.#partOf(tenant, tier)] as Tally
  }

  #partOf(tenant: number, tier: ServiceTier): number {
    return tenant * this.#tiers.length + this.#tiers.indexOf(tier)
  }
}
