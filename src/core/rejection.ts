import type { ErrorCode } from './errors.ts'
import type { Rejection } from './events.ts'
import { expectedWaitMs } from './expected-wait.ts'
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
  const { eligible, lastFailure, attempts, model, tokens } = request
  const failure = lastFailure === undefined ? {} : { failure: lastFailure }
  if (eligible.indices.length === 0) return { code: 'no_eligible_endpoint', ...failure, attempts }
  const isKnown = model.fleet.fits(eligible)
  const code = codeOf(request, reason, isKnown && model.outlook(eligible, nowMs).isAnyOpen)
  const waitMs = waitOf(request, nowMs)
  if (code === 'unavailable') return { code, ...failure, retryAfterMs: clamp(Math.min(waitMs, returnMs)), attempts }
  if (code === 'overloaded' || code === 'queue_timeout') {
    const askableInMs = isKnown ? model.askableInMs(eligible, tokens, nowMs) : 0
    return { code, ...failure, retryAfterMs: Math.max(clamp(waitMs), askableInMs), attempts }
  }
  return { code, ...failure, attempts }
}

/** For one like it that comes now. */
function waitOf({ model, eligible, flow }: OpenRequest, nowMs: number): number {
  const { account } = flow
  return expectedWaitMs(model, { eligible, priority: account.priority, account, flow }, nowMs)
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

function clamp(ms: number): number {
  return Math.min(retryAfterMsMax, Math.max(retryAfterMsMin, ms))
}
