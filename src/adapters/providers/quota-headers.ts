import type { LimitWord, QuotaWord } from '../../core/quota.ts'

type Headers = Readonly<Record<string, string | string[] | undefined>>

/** What `x-ratelimit-*` headers say of the vendor's limits; undefined where they say nothing that can be used. */
export function quotaOf(headers: Headers): QuotaWord | undefined {
  const tokens = limitOf(
    headers['x-ratelimit-remaining-tokens'],
    headers['x-ratelimit-limit-tokens'],
    headers['x-ratelimit-reset-tokens'],
  )
  const requests = limitOf(
    headers['x-ratelimit-remaining-requests'],
    headers['x-ratelimit-limit-requests'],
    headers['x-ratelimit-reset-requests'],
  )
  if (tokens === undefined && requests === undefined) return undefined
  return { ...(tokens && { tokens }), ...(requests && { requests }) }
}

type Value = string | string[] | undefined

function limitOf(remaining: Value, limit: Value, reset: Value): LimitWord | undefined {
  const left = numberOf(remaining)
  if (left === undefined) return undefined
  const most = numberOf(limit)
  const resetMs = typeof reset === 'string' ? resetMsOf(reset) : undefined
  return { remaining: left, ...(most !== undefined && { limit: most }), ...(resetMs !== undefined && { resetMs }) }
}

function numberOf(text: Value): number | undefined {
  if (typeof text !== 'string' || text === '') return undefined
  const number = Number(text)
  // Azure says -1 where it does not count.
  return number >= 0 && number <= Number.MAX_SAFE_INTEGER ? number : undefined
}

/** `12ms`, `1s`, `7.66s`, `6m0s`, `1h2m3s`, `1d2h`; seconds where there is no unit. */
function resetMsOf(text: string): number | undefined {
  const seconds = numberOf(text)
  if (seconds !== undefined) return seconds * 1_000
  const parts = /^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?$/.exec(text)
  if (parts === null) return undefined
  const [days = 0, hours = 0, minutes = 0, secs = 0, ms = 0] = parts.slice(1).map((part) => Number(part ?? 0))
  const all = (((days * 24 + hours) * 60 + minutes) * 60 + secs) * 1_000 + ms
  return Number.isFinite(all) ? all : undefined
}
