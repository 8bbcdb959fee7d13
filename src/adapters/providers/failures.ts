import type { Failure, FailureKind } from '../../core/failure.ts'

/** Longer holds than this are taken for a mistake. */
const retryAfterMsMax = 3_600_000

const unreachable = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
])
const timedOut = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT'])
const broken = new Set([
  'UND_ERR_HEADERS_OVERFLOW',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
  'UND_ERR_RES_EXCEEDED_MAX_SIZE',
  'UND_ERR_NOT_SUPPORTED',
])

/** What a failed connection or exchange means. */
export function failureOfError(error: NodeJS.ErrnoException): Failure {
  const code = error.code ?? ''
  // Several addresses tried, all failed: the first says why.
  const inner = (error as { errors?: readonly NodeJS.ErrnoException[] }).errors?.[0]
  if (code === '' && inner !== undefined) return failureOfError(inner)
  return { kind: kindOfCode(code) }
}

function kindOfCode(code: string): FailureKind {
  if (unreachable.has(code) || code.startsWith('ERR_TLS') || code.startsWith('CERT_') || code.includes('_CERT'))
    return 'unreachable'
  if (timedOut.has(code)) return 'timed-out'
  if (broken.has(code) || code.startsWith('HPE_')) return 'broken'
  return 'reset'
}

/** What a status means that is no answer; undefined where the vendor refuses the request itself. */
export function failureOfStatus(
  status: number,
  headers: Readonly<Record<string, string | string[] | undefined>>,
  wallMs: number,
): Failure | undefined {
  if (status === 429) return { kind: 'rate-limited', status, ...retryAfterOf(headers, wallMs) }
  if (status === 503 || status === 529) return { kind: 'overloaded', status, ...retryAfterOf(headers, wallMs) }
  if (status >= 500) return { kind: 'server-error', status }
  if (status === 401 || status === 403) return { kind: 'unauthorized', status }
  if (status === 404) return { kind: 'missing-model', status }
  if (status === 408) return { kind: 'timed-out', status }
  if (status < 400) return { kind: 'broken', status }
  return undefined
}

/** How long the vendor asks to be left alone: `retry-after-ms`, or `retry-after` in seconds or as a date. */
function retryAfterOf(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  wallMs: number,
): { readonly retryAfterMs?: number } {
  const inMs = Number.parseFloat(String(headers['retry-after-ms'] ?? ''))
  if (Number.isFinite(inMs) && inMs >= 0) return { retryAfterMs: Math.min(inMs, retryAfterMsMax) }
  const text = String(headers['retry-after'] ?? '').trim()
  if (/^\d+(\.\d+)?$/.test(text)) return { retryAfterMs: Math.min(Number(text) * 1_000, retryAfterMsMax) }
  const dateMs = Date.parse(text)
  if (Number.isNaN(dateMs)) return {}
  return { retryAfterMs: Math.min(Math.max(0, dateMs - wallMs), retryAfterMsMax) }
}
