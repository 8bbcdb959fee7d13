import { Bucket } from '../../core/bucket.ts'
import { Calendar } from '../../core/calendar.ts'
import type { Amount, Budget, LimitName, RateLimiter, Remaining, Reservation } from './rate-limiter.ts'

interface Counter {
  requests: Bucket | undefined
  tokens: Bucket | undefined
  open: number
  purse: Purse
  /** Of the purse; undefined where there is none. */
  nanoUsdMax: number | undefined
}

/** The money of one month. What was held in it is settled in it, also after its end. */
interface Purse {
  readonly month: number
  spentNanoUsd: number
  heldNanoUsd: number
}

interface Excess {
  readonly limit: LimitName
  readonly budgetId: string
  readonly retryAfterMs?: number
}

/** Limits kept in this process. */
export class MemoryRateLimiter implements RateLimiter {
  readonly #counters = new Map<string, Counter>()
  readonly #calendar = new Calendar()

  reserve(budgets: readonly Budget[], hold: Amount, nowMs: number, wallMs: number): Reservation {
    const counters = budgets.map((budget) => this.#counter(budget, nowMs, wallMs))
    for (let i = 0; i < budgets.length; i++) {
      const excess = excessOf(budgets[i] as Budget, counters[i] as Counter, hold, nowMs)
      if (excess !== undefined) return { kind: 'exceeded', ...excess, remaining: remainingOf(counters, nowMs) }
    }
    for (const counter of counters) {
      counter.requests?.take(1, nowMs)
      counter.tokens?.take(hold.tokens, nowMs)
      counter.open++
      counter.purse.heldNanoUsd += hold.nanoUsd
    }
    return new Grant(counters, hold, remainingOf(counters, nowMs))
  }

  seedSpend(budgetId: string, nanoUsd: number, wallMs: number): void {
    const counter = this.#counters.get(budgetId) ?? emptyCounter(this.#calendar.monthOf(wallMs))
    counter.purse.spentNanoUsd += nanoUsd
    this.#counters.set(budgetId, counter)
  }

  #counter(budget: Budget, nowMs: number, wallMs: number): Counter {
    const month = this.#calendar.monthOf(wallMs)
    let counter = this.#counters.get(budget.id)
    if (counter === undefined) {
      counter = emptyCounter(month)
      this.#counters.set(budget.id, counter)
    }
    counter.requests = adjusted(counter.requests, budget.requestsPerMinute, nowMs)
    counter.tokens = adjusted(counter.tokens, budget.tokensPerMinute, nowMs)
    counter.nanoUsdMax = budget.usdPerMonth === undefined ? undefined : Math.round(budget.usdPerMonth * 1e9)
    // A clock that jumps back does not bring an old month's money back.
    if (month > counter.purse.month) counter.purse = emptyPurse(month)
    return counter
  }
}

/** What one request holds: at these buckets and purses, also where a counter has others by the time it is settled. */
class Grant {
  readonly kind = 'granted'
  readonly remaining: Remaining
  readonly #counters: readonly Counter[]
  readonly #buckets: readonly (Bucket | undefined)[]
  readonly #purses: readonly Purse[]
  readonly #tokens: number
  #nanoUsd: number
  #settled = false

  constructor(counters: readonly Counter[], hold: Amount, remaining: Remaining) {
    this.remaining = remaining
    this.#counters = counters
    this.#buckets = counters.map(({ tokens }) => tokens)
    this.#purses = counters.map(({ purse }) => purse)
    this.#tokens = hold.tokens
    this.#nanoUsd = hold.nanoUsd
  }

  extend(nanoUsd: number): boolean {
    if (this.#settled) return false
    const fits = this.#counters.every(
      ({ nanoUsdMax }, index) =>
        nanoUsdMax === undefined || total(this.#purses[index] as Purse) + nanoUsd <= nanoUsdMax,
    )
    if (!fits) return false
    for (const purse of this.#purses) purse.heldNanoUsd += nanoUsd
    this.#nanoUsd += nanoUsd
    return true
  }

  settle(used: Amount, nowMs: number): void {
    if (this.#settled) return
    this.#settled = true
    for (const counter of this.#counters) counter.open--
    for (const bucket of this.#buckets) bucket?.take(used.tokens - this.#tokens, nowMs)
    for (const purse of this.#purses) {
      purse.heldNanoUsd -= this.#nanoUsd
      purse.spentNanoUsd += used.nanoUsd
    }
  }
}

function emptyCounter(month: number): Counter {
  return { requests: undefined, tokens: undefined, open: 0, purse: emptyPurse(month), nanoUsdMax: undefined }
}

function emptyPurse(month: number): Purse {
  return { month, spentNanoUsd: 0, heldNanoUsd: 0 }
}

function total({ spentNanoUsd, heldNanoUsd }: Purse): number {
  return spentNanoUsd + heldNanoUsd
}

/** The bucket under a limit that a reload may have changed: what is left stays left, up to the new limit. */
function adjusted(bucket: Bucket | undefined, limit: number | undefined, nowMs: number): Bucket | undefined {
  if (limit === undefined) return undefined
  if (bucket === undefined) return new Bucket(limit, nowMs)
  if (bucket.limit !== limit) bucket.resize(limit, nowMs)
  return bucket
}

function excessOf(budget: Budget, counter: Counter, hold: Amount, nowMs: number): Excess | undefined {
  const budgetId = budget.id
  const { requests, tokens, nanoUsdMax } = counter
  if (budget.concurrentRequests !== undefined && counter.open >= budget.concurrentRequests)
    return { limit: 'concurrent', budgetId, retryAfterMs: 1_000 }
  if (requests !== undefined && !requests.fits(1, nowMs))
    return { limit: 'requests', budgetId, retryAfterMs: requests.waitMs(1, nowMs) }
  if (tokens !== undefined && !tokens.fits(hold.tokens, nowMs))
    return { limit: 'tokens', budgetId, retryAfterMs: tokens.waitMs(hold.tokens, nowMs) }
  if (nanoUsdMax !== undefined && total(counter.purse) + hold.nanoUsd > nanoUsdMax) return { limit: 'usd', budgetId }
  return undefined
}

/** Of several budgets the tightest. */
function remainingOf(counters: readonly Counter[], nowMs: number): Remaining {
  let requests: Bucket | undefined
  let tokens: Bucket | undefined
  for (const counter of counters) {
    if (
      counter.requests !== undefined &&
      (requests === undefined || counter.requests.level(nowMs) < requests.level(nowMs))
    )
      requests = counter.requests
    if (counter.tokens !== undefined && (tokens === undefined || counter.tokens.level(nowMs) < tokens.level(nowMs)))
      tokens = counter.tokens
  }
  return {
    ...(requests !== undefined && {
      requestsLimit: requests.limit,
      requestsRemaining: requests.level(nowMs),
      requestsResetMs: requests.resetMs(nowMs),
    }),
    ...(tokens !== undefined && {
      tokensLimit: tokens.limit,
      tokensRemaining: tokens.level(nowMs),
      tokensResetMs: tokens.resetMs(nowMs),
    }),
  }
}
