import type { FailureKind } from '../../core/failure.ts'
import type { TokenCount } from '../../core/request.ts'

/** How a request ended. `partial`: the answer was cut; `cancelled`: the caller left; `failed`: no answer was begun. */
export type SettleState = 'ok' | 'partial' | 'cancelled' | 'failed'

/** Tokens of one window (promises I3): a recovered answer is charged at most this much above what was delivered. */
export const markWindowTokens = 64

/** Where the token count comes from: the vendor's word, our own count, or a recovery from the last mark. */
export type TokenSource = 'upstream' | 'counted' | 'recovered'

/** Nano-dollars per token. */
export interface NanoPrices {
  readonly input: number
  readonly cachedInput: number
  readonly output: number
}

/** What tokens cost by the prices that were written down with their attempt. */
export function attemptCostNanoUsd({ input, cachedInput, output }: TokenCount, prices: NanoPrices): number {
  return Math.round((input - cachedInput) * prices.input + cachedInput * prices.cachedInput + output * prices.output)
}

/**
 * The journal's events (docs/reference/journal.md). `seq` and the checksum are added by the journal. `wallMs` is
 * information for people; order is by `seq` alone. Money is in whole nano-dollars, so that sums are exact.
 */
export type JournalRecord =
  | {
      readonly kind: 'admit'
      readonly id: string
      readonly wallMs: number
      readonly tenant: string
      readonly keyId: string
      readonly plan: string
      /** As it was served; not in journals of before there were tiers. */
      readonly tier?: string
      readonly model: string
      readonly operation: string
      readonly stream: boolean
      readonly policyVersion: number
      readonly registerVersion: number
      readonly priceVersion: string
      readonly holdTokens: number
      /** The input as estimated: charged where a crash leaves nothing better. */
      readonly inputTokens: number
      readonly holdNanoUsd: number
    }
  | {
      /** One upstream try, durable before its connection is used. */
      readonly kind: 'attempt'
      readonly id: string
      readonly n: number
      readonly wallMs: number
      readonly endpoint: string
      readonly provider: string
      readonly subProcessor: string
      readonly country: string
      readonly upstreamModel: string
      /** Of this endpoint at this time; null where no price is known. */
      readonly prices: NanoPrices | null
    }
  | {
      /** At most this many output tokens have been handed to the caller. Written before they are. */
      readonly kind: 'mark'
      readonly id: string
      readonly n: number
      readonly outputTokens: number
    }
  | {
      /** A try that ended without an answer; another may follow. */
      readonly kind: 'outcome'
      readonly id: string
      readonly n: number
      readonly wallMs: number
      readonly failure: FailureKind | 'cancelled' | 'refused'
      readonly status: number | null
      /** What the vendor may bill for it, if it said so. */
      readonly tokens: TokenCount | null
    }
  | {
      readonly kind: 'settle'
      readonly id: string
      /** The attempt that answered, or the last one; 0 where none was made. */
      readonly n: number
      readonly wallMs: number
      readonly state: SettleState
      readonly source: TokenSource
      readonly tokens: TokenCount
      readonly nanoUsd: number
      readonly status: number
      readonly code: string | null
      readonly firstByteMs: number | null
      readonly durationMs: number
    }
  | {
      /** An authenticated request that was turned away before any attempt. */
      readonly kind: 'refuse'
      readonly id: string
      readonly wallMs: number
      readonly tenant: string
      readonly keyId: string
      readonly model: string
      readonly status: number
      readonly code: string
    }
