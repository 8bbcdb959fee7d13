/** What bounds one payer. Absent limits are off; what is used is counted all the same, since one may come later. */
export interface Budget {
  /** Names the counter: `tenant/acme` or `key/k_…`. */
  readonly id: string
  readonly requestsPerMinute?: number
  readonly tokensPerMinute?: number
  readonly concurrentRequests?: number
  readonly usdPerMonth?: number
}

/** What a request may cost at the most (hold), or did cost (settle). Money in whole nano-dollars, so that sums are exact. */
export interface Amount {
  readonly tokens: number
  readonly nanoUsd: number
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
      /** Holds so much more money. False where a budget has not so much left; then nothing more is held. */
      extend(nanoUsd: number): boolean
      /**
       * Gives back what was not used, charges what was used beyond the hold; the money to the month it was held in.
       * Once; later calls do nothing.
       */
      settle(used: Amount, nowMs: number): void
    }
  | {
      readonly kind: 'exceeded'
      readonly limit: LimitName
      readonly budgetId: string
      /** When the same request would fit; absent where waiting does not help (the month's money). */
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
  seedSpend(budgetId: string, nanoUsd: number, wallMs: number): void
}
