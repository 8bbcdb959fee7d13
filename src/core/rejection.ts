import type { ErrorCode } from './errors.ts'
import type { Rejection } from './events.ts'
import type { Failure } from './failure.ts'
import type { OpenRequest } from './open-request.ts'

/** Asking again sooner than this, or later than that, helps nobody. */
const retryAfterMsMin = 1_000
const retryAfterMsMax = 60_000
/** A place that is down is taken in again within 5 s of its return. */
const returnMs = 5_000

/** Why the scheduler itself ended a wait; undefined where the last failure says it. */
export type RejectionReason = 'overloaded' | 'deadline' | undefined

/** Says why a request gets no (further) attempt and when it is worth asking again. */
export function rejectionOf(request: OpenRequest, reason: RejectionReason, nowMs: number): Rejection {
  const { eligible, lastFailure, attempts, model, priority } = request
  const failure = lastFailure === undefined ? {} : { failure: lastFailure }
  if (eligible.indices.length === 0) return { code: 'no_eligible_endpoint', ...failure, attempts }
  const outlook = model.fleet.fits(eligible) ? model.outlook(eligible, nowMs) : undefined
  const code = codeOf(request, reason, outlook?.isAnyOpen ?? false)
  const waitMs = model.expectedWaitMs(eligible, priority, nowMs)
  if (code === 'unavailable') return { code, ...failure, retryAfterMs: clamp(Math.min(waitMs, returnMs)), attempts }
  if (code === 'overloaded' || code === 'queue_timeout') {
    return {
      code,
      ...failure,
      retryAfterMs: Math.max(clamp(waitMs), heldForMs(outlook?.heldUntilMs ?? 0, nowMs)),
      attempts,
    }
  }
  return { code, ...failure, attempts }
}

function codeOf(request: OpenRequest, reason: RejectionReason, anyOpen: boolean): ErrorCode {
  const { lastFailure, waiting } = request
  if (reason === 'overloaded') return 'overloaded'
  if (lastFailure === undefined)
    return anyOpen ? (reason === 'deadline' ? 'queue_timeout' : 'overloaded') : 'unavailable'
  const code = failureCodes[lastFailure.kind]
  const transient = code === 'upstream_error' || code === 'upstream_timeout' || code === 'unavailable'
  if (transient && !anyOpen) return 'unavailable'
  // The failed try was not the end of it: there was another place, and it did not become free.
  return transient && waiting ? 'queue_timeout' : code
}

const failureCodes: Readonly<Record<Failure['kind'], ErrorCode>> = {
  unreachable: 'unavailable',
  reset: 'upstream_error',
  'timed-out': 'upstream_timeout',
  'rate-limited': 'overloaded',
  overloaded: 'overloaded',
  'server-error': 'upstream_error',
  unauthorized: 'upstream_unauthorized',
  'missing-model': 'upstream_error',
  broken: 'upstream_invalid_answer',
  withdrawn: 'unavailable',
}

/** Until the first of the places lets itself be asked again; 0 where one does now. */
function heldForMs(heldUntilMs: number, nowMs: number): number {
  return Number.isFinite(heldUntilMs) ? Math.max(0, heldUntilMs - nowMs) : 0
}

function clamp(ms: number): number {
  return Math.min(retryAfterMsMax, Math.max(retryAfterMsMin, ms))
}
