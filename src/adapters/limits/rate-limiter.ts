/** What bounds one payer. Absent limits are off. */
export interface Budget {
  /** Names the counter: `tenant/acme` or `key/k_…`. */
  readonly id: string
  readonly requestsPerMinute?: number
  readonly tokensPerMinute?: number
  readonly concurrentRequests?: number
  readonly usdPerMonth?: number
}

/** What a request may cost at the most (hold), or did cost (settle). */
export interface Amount {
  readonly tokens: number
  readonly usd: number
}

export type LimitName = 'requests' | 'tokens' | 'concurrent' | 'usd'

/** What is left, for `x-ratelimit-*`. Of several budgets the tightest. */
export interface Remaining {
  readonly requestsLimit?: number
  readonly requestsRemaining?: number
  readonly requestsResetMs?: number
  readonly tokensLimit?: number
  readonly tokensRemaining?: number
  readonly tokensResetMs?: number
}

export type Reservation =
  | {
      readonly kind: 'granted'
      readonly remaining: Remaining
      /** Gives back what was not used, charges what was used beyond the hold. Once; later calls do nothing. */
      settle(used: Amount, nowMs: number): void
    }
  | {
      readonly kind: 'exceeded'
      readonly limit: LimitName
      readonly budgetId: string
      /** When the same request would fit; absent where waiting does not help (month's money, larger than the limit). */
      readonly retryAfterMs?: number
      readonly remaining: Remaining
    }

/**
 * Says whether a request fits its budgets, all of them or none. Synchronous: shared limits work on leased shares, so
 * that no request waits for another machine.
 */
export interface RateLimiter {
  reserve(budgets: readonly Budget[], hold: Amount, nowMs: number, wallMs: number): Reservation
  /** Money spent this calendar month (UTC) before this process began, from the ledger. */
  seedSpend(budgetId: string, usd: number, wallMs: number): void
}
