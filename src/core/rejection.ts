import type { ErrorCode } from './errors.ts'
import type { RefusalConstraint, Rejection } from './events.ts'
import { expectedWaitMs } from './expected-wait.ts'
import type { Failure } from './failure.ts'
import type { OpenRequest } from './open-request.ts'

/** Asking again sooner than this, or later than that, helps nobody. */
const retryAfterMsMin = 1_000
const retryAfterMsMax = 60_000
/** A place that is down is taken in again within 5 s of its return. */
const returnMs = 5_000

/**
 * Why the scheduler itself ended a wait: there is no room to wait in, it would be in vain, or it was; undefined where the
 * last failure says it.
 */
export type EndOfWait = 'no-room' | 'in-vain' | 'deadline' | undefined

/** Says why a request gets no (further) attempt and when it is worth asking again. */
export function rejectionOf(request: OpenRequest, end: EndOfWait, nowMs: number): Rejection {
  const { eligible, lastFailure, attempts, model, tokens } = request
  const failure = lastFailure === undefined ? {} : { failure: lastFailure }
  if (eligible.indices.length === 0)
    return { code: 'no_eligible_endpoint', ...failure, attempts, reason: { constraint: 'terms', expectedWaitMs: 0 } }
  const isKnown = model.fleet.fits(eligible)
  const code = codeOf(request, end, isKnown && model.outlook(eligible, nowMs).isAnyOpen)
  const waitMs = waitOf(request, nowMs)
  const said = { code, ...failure, attempts }
  const reason = { constraint: constraintOf(request, end, code, nowMs), expectedWaitMs: waitMs }
  if (code === 'unavailable') return { ...said, retryAfterMs: clamp(Math.min(waitMs, returnMs)), reason }
  if (code === 'overloaded' || code === 'queue_timeout') {
    const askableInMs = isKnown ? model.askableInMs(eligible, tokens, nowMs) : 0
    return { ...said, retryAfterMs: Math.max(clamp(waitMs), askableInMs), reason }
  }
  return { ...said, reason }
}

function constraintOf(request: OpenRequest, end: EndOfWait, code: ErrorCode, nowMs: number): RefusalConstraint {
  if (end === 'no-room') return 'queue-length'
  if (end === 'in-vain') return 'deadline'
  if (code === 'unavailable') return 'outage'
  if (code === 'queue_timeout') return nowMs < request.waitUntilMs ? 'deadline' : 'wait'
  return code === 'overloaded' ? 'vendor-limit' : 'failures'
}

/** For one like it that comes now. */
function waitOf({ model, eligible, flow }: OpenRequest, nowMs: number): number {
  const { account } = flow
  return expectedWaitMs(model, { eligible, priority: account.priority, account, flow }, nowMs)
}

function codeOf(request: OpenRequest, end: EndOfWait, anyOpen: boolean): ErrorCode {
  const { lastFailure, waiting } = request
  if (end === 'no-room' || end === 'in-vain') return 'overloaded'
  if (lastFailure === undefined) return anyOpen ? (end === 'deadline' ? 'queue_timeout' : 'overloaded') : 'unavailable'
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
