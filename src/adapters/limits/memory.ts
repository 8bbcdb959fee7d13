import { Bucket } from './bucket.ts'
import type { Amount, Budget, LimitName, RateLimiter, Remaining, Reservation } from './rate-limiter.ts'

interface Counter {
  requests: Bucket | undefined
  tokens: Bucket | undefined
  open: number
  /** Calendar month (UTC) that the money below belongs to. */
  month: number
  spentUsd: number
  heldUsd: number
}

interface Excess {
  readonly limit: LimitName
  readonly budgetId: string
  readonly retryAfterMs?: number
}

/** Limits kept in this process. */
export class MemoryRateLimiter implements RateLimiter {
  readonly #counters = new Map<string, Counter>()

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
      counter.heldUsd += hold.usd
    }
    let settled = false
    return {
      kind: 'granted',
      remaining: remainingOf(counters, nowMs),
      settle: (used, atMs) => {
        if (settled) return
        settled = true
        for (const counter of counters) {
          counter.tokens?.take(used.tokens - hold.tokens, atMs)
          counter.open--
          counter.heldUsd = Math.max(0, counter.heldUsd - hold.usd)
          counter.spentUsd += used.usd
        }
      },
    }
  }

  seedSpend(budgetId: string, usd: number, wallMs: number): void {
    const counter = this.#counters.get(budgetId) ?? emptyCounter(monthOf(wallMs))
    counter.spentUsd += usd
    this.#counters.set(budgetId, counter)
  }

  #counter(budget: Budget, nowMs: number, wallMs: number): Counter {
    let counter = this.#counters.get(budget.id)
    if (counter === undefined) {
      counter = emptyCounter(monthOf(wallMs))
      this.#counters.set(budget.id, counter)
    }
    counter.requests = adjusted(counter.requests, budget.requestsPerMinute, nowMs)
    counter.tokens = adjusted(counter.tokens, budget.tokensPerMinute, nowMs)
    if (budget.usdPerMonth !== undefined) {
      const month = monthOf(wallMs)
      if (month !== counter.month) {
        counter.month = month
        counter.spentUsd = 0
      }
    }
    return counter
  }
}

function emptyCounter(month: number): Counter {
  return { requests: undefined, tokens: undefined, open: 0, month, spentUsd: 0, heldUsd: 0 }
}

/** The bucket under a limit that a reload may have changed: what is left stays left, up to the new limit. */
function adjusted(bucket: Bucket | undefined, limit: number | undefined, nowMs: number): Bucket | undefined {
  if (limit === undefined) return undefined
  if (bucket === undefined) return new Bucket(limit, nowMs)
  if (bucket.limit !== limit) {
    bucket.level(nowMs)
    bucket.limit = limit
    bucket.take(0, nowMs)
  }
  return bucket
}

function excessOf(budget: Budget, counter: Counter, hold: Amount, nowMs: number): Excess | undefined {
  const budgetId = budget.id
  const { requests, tokens } = counter
  if (budget.concurrentRequests !== undefined && counter.open >= budget.concurrentRequests)
    return { limit: 'concurrent', budgetId, retryAfterMs: 1_000 }
  if (requests !== undefined && !requests.fits(1, nowMs))
    return { limit: 'requests', budgetId, retryAfterMs: requests.waitMs(1, nowMs) }
  if (tokens !== undefined && !tokens.fits(hold.tokens, nowMs))
    return { limit: 'tokens', budgetId, retryAfterMs: tokens.waitMs(hold.tokens, nowMs) }
  if (budget.usdPerMonth !== undefined && counter.spentUsd + counter.heldUsd + hold.usd > budget.usdPerMonth)
    return { limit: 'usd', budgetId }
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

function monthOf(wallMs: number): number {
  const date = new Date(wallMs)
  return date.getUTCFullYear() * 12 + date.getUTCMonth()
}
