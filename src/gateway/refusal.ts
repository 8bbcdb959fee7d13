import { type ErrorCode, errorCodes } from '../core/errors.ts'
import type { SpillwayError } from '../core/spillway-error.ts'
import type { HttpExchange } from './http/exchange.ts'

/** OpenAI's envelope, all four keys always there; `reason` where more is known. */
export function errorBody(code: ErrorCode, message: string, param: string | null, reason?: object): string {
  return JSON.stringify({ error: { message, type: errorCodes[code].type, param, code, reason } })
}

/** The same object as a last event of a stream that was cut. */
export function errorEvent(code: ErrorCode, message: string): Buffer {
  return Buffer.from(`data: ${errorBody(code, message, null)}\n\n`)
}

/** Where nothing better is known: refusals for want of room are worth asking again after this. */
const retryAfterMsDefault = 1_000

/**
 * Headers of a refusal. `retry-after` above 60 s is ignored by the official clients, which then come back within
 * seconds; `x-should-retry: false` they obey, so a long wait is said both ways.
 */
export function refusalHeaders(error: SpillwayError, requestId: string, extra: readonly string[]): string[] {
  const { retry, status } = errorCodes[error.code]
  const headers = ['content-type', 'application/json', 'x-request-id', requestId, ...extra]
  let shouldRetry: boolean = retry
  const wantsWait = retry && (status === 429 || status === 503)
  const retryAfterMs = error.retryAfterMs ?? (wantsWait ? retryAfterMsDefault : undefined)
  if (retryAfterMs !== undefined) {
    const ms = Math.max(1, Math.ceil(retryAfterMs))
    headers.push('retry-after', String(Math.ceil(ms / 1000)), 'retry-after-ms', String(ms))
    if (ms > 60_000) shouldRetry = false
  }
  headers.push('x-should-retry', String(shouldRetry))
  return headers
}

/** Answers with the envelope and ends. Body that was not read is not waited for: the connection closes then. */
export function refuse(
  exchange: HttpExchange,
  error: SpillwayError,
  requestId: string,
  extra: readonly string[] = [],
): void {
  if (exchange.closed) return
  const body = Buffer.from(errorBody(error.code, error.message, error.param, error.reason))
  const headers = refusalHeaders(error, requestId, extra)
  headers.push('content-length', String(body.length))
  exchange.head(errorCodes[error.code].status, headers)
  exchange.end(body)
}

/** Which retry the official client says this is; 0 for a first try. */
export function retryCountOf(exchange: HttpExchange): number {
  const text = exchange.header('x-stainless-retry-count')
  return text !== undefined && /^\d{1,3}$/.test(text) ? Number(text) : 0
}
