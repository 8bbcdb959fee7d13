import type { Failure, FailureKind } from '../../core/failure.ts'
import { connectTimeout } from './connection.ts'
import { quotaOf } from './quota-headers.ts'
import { transportErrors } from './transport.ts'

/** Longer holds than this are taken for a mistake. */
const retryAfterMsMax = 3_600_000

const unreachable = new Set<string>([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'ETIMEDOUT',
  'EPROTO',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  connectTimeout,
])

/** What a failed connection or exchange means. */
export function failureOfError(error: NodeJS.ErrnoException): Failure {
  const code = error.code ?? ''
  // Several addresses tried, all failed: the first says why.
  const inner = (error as { errors?: readonly NodeJS.ErrnoException[] }).errors?.[0]
  if (code === '' && inner !== undefined) return failureOfError(inner)
  if (code === transportErrors.stale) return { kind: 'reset', stale: true }
  return { kind: kindOfCode(code) }
}

function kindOfCode(code: string): FailureKind {
  if (unreachable.has(code) || /^ERR_(TLS|SSL)/.test(code) || code.startsWith('CERT_') || code.includes('_CERT'))
    return 'unreachable'
  if (code === transportErrors.invalid) return 'broken'
  if (code === transportErrors.unsendable) return 'unauthorized'
  // The configuration changed under a call that had not been made.
  if (code === transportErrors.closed) return 'withdrawn'
  return 'reset'
}

/**
 * What a status means that is no answer; undefined where the vendor refuses the request itself. What no other place
 * could do better is a refusal; what is about our account there, or about that place, is a failure.
 */
export function failureOfStatus(
  status: number,
  headers: Readonly<Record<string, string | string[] | undefined>>,
  wallMs: number,
): Failure | undefined {
  if (status === 429) {
    const quota = quotaOf(headers)
    return { kind: 'rate-limited', status, ...retryAfterOf(headers, wallMs), ...(quota && { quota }) }
  }
  if (status === 503 || status === 529) return { kind: 'overloaded', status, ...retryAfterOf(headers, wallMs) }
  if (status >= 500) return { kind: 'server-error', status }
  if (status < 400) return { kind: 'broken', status }
  return statusFailures.has(status) ? { kind: statusFailures.get(status) as FailureKind, status } : undefined
}

const statusFailures = new Map<number, FailureKind>([
  [401, 'unauthorized'],
  // Our account there has no money left.
  [402, 'unauthorized'],
  [403, 'unauthorized'],
  [404, 'missing-model'],
  [405, 'missing-model'],
  [408, 'timed-out'],
  [409, 'server-error'],
  [410, 'missing-model'],
  // Bedrock: the model itself failed (ModelErrorException).
  [424, 'server-error'],
])

/**
 * The status that an error inside a 2xx answer stands for: the one it names, or that of its type. 500 where it says
 * neither.
 */
export function statusOfError(error: Readonly<Record<string, unknown>>): number {
  for (const name of ['code', 'status']) {
    const status = Number(error[name])
    if (Number.isInteger(status) && status >= 400 && status < 600) return status
  }
  for (const name of ['code', 'type']) {
    const status = typedErrors.get(String(error[name]))
    if (status !== undefined) return status
  }
  return 500
}

const typedErrors = new Map([
  ['invalid_request_error', 400],
  ['context_length_exceeded', 400],
  ['content_filter', 400],
  ['BadRequestError', 400],
  ['rate_limit_exceeded', 429],
  ['rate_limit_error', 429],
  ['overloaded_error', 503],
])

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
