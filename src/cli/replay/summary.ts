import type { TokenPrices } from '../../core/endpoint.ts'
import type { ReplayResult } from './sender.ts'

export interface Percentiles {
  readonly p50: number
  readonly p90: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}

export interface Share {
  readonly name: string
  readonly requests: number
  /** Of the answered requests. */
  readonly share: number
}

/** What came out of a replay. Times in ms, counted from when a request was due. */
export interface ReplaySummary {
  readonly requests: number
  readonly ok: number
  readonly successRate: number
  readonly failedBeforeFirstByte: Readonly<Record<string, number>>
  readonly failedAfterFirstByte: Readonly<Record<string, number>>
  readonly seconds: number
  readonly requestsPerSecond: number
  readonly ttftMs: Percentiles | null
  /** Time for each output token after the first. */
  readonly tpotMs: Percentiles | null
  readonly endToEndMs: Percentiles | null
  /** What the gateway says it took of the time to the first byte. */
  readonly overheadMs: Percentiles | null
  readonly lateMs: Percentiles | null
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly completionTokens: number
  /** Of the whole answers, by the prices the gateway explains; null where one is not known. */
  readonly costUsd: number | null
  readonly byCloud: readonly Share[]
  readonly byCountry: readonly Share[]
  readonly attempts: Readonly<Record<string, number>>
  /** Answers that say of themselves that they are simulations. */
  readonly simulated: number
}

/** Nearest-rank percentile of sorted values: the smallest that at least `percent` of them do not exceed. */
export function percentile(sorted: readonly number[], percent: number): number {
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? Number.NaN
}

export function percentilesOf(values: readonly number[]): Percentiles | null {
  if (values.length === 0) return null
  const sorted = [...values].sort((a, b) => a - b)
  return {
    p50: percentile(sorted, 50),
    p90: percentile(sorted, 90),
    p95: percentile(sorted, 95),
    p99: percentile(sorted, 99),
    max: sorted.at(-1) as number,
  }
}

/** `model/provider` without the model. */
export function cloudOf(endpoint: string): string {
  return endpoint.slice(endpoint.lastIndexOf('/') + 1)
}

/** `prices`: dollars for a million tokens by endpoint. */
export function summarise(results: readonly ReplayResult[], prices: ReadonlyMap<string, TokenPrices>): ReplaySummary {
  const ok = results.filter(({ ended }) => ended === 'ok')
  const answered = results.filter(({ endpoint, status }) => endpoint !== null && status === 200)
  const usages = ok.flatMap(({ usage }) => (usage === null ? [] : [usage]))
  const firstMs = results.reduce((least, { sentMs }) => Math.min(least, sentMs), Number.POSITIVE_INFINITY)
  const lastMs = results.reduce((most, { sentMs, endMs }) => Math.max(most, sentMs + endMs), firstMs)
  const seconds = results.length === 0 ? 0 : (lastMs - firstMs) / 1_000
  return {
    requests: results.length,
    ok: ok.length,
    successRate: results.length === 0 ? 0 : ok.length / results.length,
    failedBeforeFirstByte: counted(
      results.filter(({ ended, status }) => ended !== 'ok' && status !== 200).map(reasonOf),
    ),
    failedAfterFirstByte: counted(
      results.filter(({ ended, status }) => ended !== 'ok' && status === 200).map(reasonOf),
    ),
    seconds,
    requestsPerSecond: seconds === 0 ? 0 : results.length / seconds,
    ttftMs: percentilesOf(ok.flatMap(({ ttftMs }) => (ttftMs === null ? [] : [ttftMs]))),
    tpotMs: percentilesOf(
      ok.flatMap(({ ttftMs, endMs, contentEvents, usage }) => {
        const tokens = usage?.completionTokens ?? contentEvents
        return ttftMs === null || tokens < 2 ? [] : [(endMs - ttftMs) / (tokens - 1)]
      }),
    ),
    endToEndMs: percentilesOf(ok.map(({ endMs }) => endMs)),
    overheadMs: percentilesOf(answered.flatMap(({ overheadMs }) => (overheadMs === null ? [] : [overheadMs]))),
    lateMs: percentilesOf(results.map(({ lateMs }) => lateMs)),
    promptTokens: sum(usages.map(({ promptTokens }) => promptTokens)),
    cachedTokens: sum(usages.map(({ cachedTokens }) => cachedTokens)),
    completionTokens: sum(usages.map(({ completionTokens }) => completionTokens)),
    costUsd: costOf(ok, prices),
    byCloud: shares(answered.map(({ endpoint }) => cloudOf(endpoint ?? ''))),
    byCountry: shares(answered.map(({ country }) => country ?? '')),
    attempts: counted(results.map(({ attempts }) => String(attempts))),
    simulated: results.filter(({ simulated }) => simulated).length,
  }
}

export function reasonOf({ ended, code, status }: ReplayResult): string {
  if (ended === 'refused') return code ?? `status ${status}`
  return ended === 'cut-with-error-event' ? (code ?? ended) : ended
}

function costOf(ok: readonly ReplayResult[], prices: ReadonlyMap<string, TokenPrices>): number | null {
  let usd = 0
  for (const { endpoint, usage } of ok) {
    const price = prices.get(endpoint ?? '')
    if (price === undefined || usage === null) return null
    const { promptTokens, cachedTokens, completionTokens } = usage
    usd +=
      ((promptTokens - cachedTokens) * price.input +
        cachedTokens * price.cachedInput +
        completionTokens * price.output) /
      1e6
  }
  return usd
}

function counted(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

function shares(names: readonly string[]): Share[] {
  return Object.entries(counted(names))
    .map(([name, requests]) => ({ name, requests, share: requests / names.length }))
    .sort((a, b) => b.requests - a.requests)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
