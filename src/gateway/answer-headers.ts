import type { Remaining } from '../adapters/limits/rate-limiter.ts'
import { formatResetDuration } from '../adapters/limits/reset-duration.ts'
import type { ServiceTier } from '../core/service-class.ts'
import type { ServedEndpoint } from './plane.ts'

/** Headers of an answer, flat: how it was decided, what is left of the limits, what of the vendor's may pass. */
export function answerHeaders(
  contentType: string,
  requestId: string,
  endpoint: ServedEndpoint,
  attempts: number,
  tier: ServiceTier,
  overheadMs: number,
  remaining: Remaining | undefined,
  vendorHeaders: readonly (readonly [string, string])[] | undefined,
): string[] {
  const headers = [
    'content-type',
    contentType,
    'x-request-id',
    requestId,
    'x-spillway-endpoint',
    endpoint.id,
    'x-spillway-country',
    endpoint.country,
    'x-spillway-attempts',
    String(attempts),
    'x-spillway-tier',
    tier,
    'x-spillway-overhead-ms',
    overheadMs.toFixed(2),
  ]
  pushRateLimits(headers, remaining)
  if (vendorHeaders !== undefined) for (const [name, value] of vendorHeaders) headers.push(name, value)
  return headers
}

export function rateLimitHeaders(remaining: Remaining | undefined): string[] {
  const headers: string[] = []
  pushRateLimits(headers, remaining)
  return headers
}

/** The gateway's own limits, never a vendor's; absent where none is set. */
function pushRateLimits(headers: string[], remaining: Remaining | undefined): void {
  if (remaining === undefined) return
  if (remaining.requestsLimit !== undefined) {
    headers.push('x-ratelimit-limit-requests', String(remaining.requestsLimit))
    headers.push('x-ratelimit-remaining-requests', String(Math.max(0, Math.floor(remaining.requestsRemaining ?? 0))))
    headers.push('x-ratelimit-reset-requests', formatResetDuration(remaining.requestsResetMs ?? 0))
  }
  if (remaining.tokensLimit !== undefined) {
    headers.push('x-ratelimit-limit-tokens', String(remaining.tokensLimit))
    headers.push('x-ratelimit-remaining-tokens', String(Math.max(0, Math.floor(remaining.tokensRemaining ?? 0))))
    headers.push('x-ratelimit-reset-tokens', formatResetDuration(remaining.tokensResetMs ?? 0))
  }
}
