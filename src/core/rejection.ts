import type { EndpointState } from './endpoint-state.ts'
import type { ErrorCode } from './errors.ts'
import type { Rejection } from './events.ts'
import type { Failure } from './failure.ts'
import type { OpenRequest } from './open-request.ts'
import type { Eligibility } from './request.ts'

/** Asking again sooner than this, or later than that, helps nobody. */
const retryAfterMsMin = 1_000
const retryAfterMsMax = 60_000
/** A place that is down is taken in again within 5 s of its return. */
const returnMs = 5_000

/** Why the scheduler itself ended a wait; undefined where the last failure says it. */
export type RejectionReason = 'overloaded' | 'deadline' | undefined

/** Says why a request gets no (further) attempt and when it is worth asking again. `waitMs`: the expected wait. */
export function rejectionOf(
  request: OpenRequest,
  reason: RejectionReason,
  waitMs: number,
  byIndex: readonly EndpointState[],
  nowMs: number,
): Rejection {
  const { eligible, lastFailure, attempts } = request
  const failure = lastFailure === undefined ? {} : { failure: lastFailure }
  if (eligible.indices.length === 0) return { code: 'no_eligible_endpoint', ...failure, attempts }
  const code = codeOf(request, reason, byIndex)
  if (code === 'unavailable') return { code, ...failure, retryAfterMs: clamp(Math.min(waitMs, returnMs)), attempts }
  if (code === 'overloaded' || code === 'queue_timeout') {
    return { code, ...failure, retryAfterMs: Math.max(clamp(waitMs), heldForMs(request, byIndex, nowMs)), attempts }
  }
  return { code, ...failure, attempts }
}

function codeOf(request: OpenRequest, reason: RejectionReason, byIndex: readonly EndpointState[]): ErrorCode {
  if (reason === 'overloaded') return 'overloaded'
  const { lastFailure } = request
  if (lastFailure === undefined)
    return anyOpen(request.eligible, byIndex) ? (reason === 'deadline' ? 'queue_timeout' : 'overloaded') : 'unavailable'
  const code = failureCodes[lastFailure.kind]
  const transient = code === 'upstream_error' || code === 'upstream_timeout'
  return transient && !anyOpen(request.eligible, byIndex) ? 'unavailable' : code
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

/** Is any of its places thought good? */
function anyOpen(eligible: Eligibility, byIndex: readonly EndpointState[]): boolean {
  for (const index of eligible.indices) if (byIndex[index]?.isOpen === true) return true
  return false
}

/** Until the first of the places it may use lets itself be asked again; 0 where one does now. */
function heldForMs({ eligible }: OpenRequest, byIndex: readonly EndpointState[], nowMs: number): number {
  let soonestMs = Number.POSITIVE_INFINITY
  for (const index of eligible.indices)
    soonestMs = Math.min(soonestMs, Math.max(0, (byIndex[index]?.heldUntilMs ?? 0) - nowMs))
  return Number.isFinite(soonestMs) ? soonestMs : 0
}

function clamp(ms: number): number {
  return Math.min(retryAfterMsMax, Math.max(retryAfterMsMin, ms))
}
