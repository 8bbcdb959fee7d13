import type { Reservation } from '../adapters/limits/rate-limiter.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { Rejection } from '../core/events.ts'
import { SpillwayError } from '../core/spillway-error.ts'
import type { ErrorReason } from './refusal-reason.ts'

/** What a limit that is used up says to the caller. */
export function exceededError(exceeded: Reservation & { kind: 'exceeded' }): SpillwayError {
  const whose = exceeded.budgetId.startsWith('key/') ? 'this key' : 'this workspace'
  const options = exceeded.retryAfterMs === undefined ? {} : { retryAfterMs: exceeded.retryAfterMs }
  switch (exceeded.limit) {
    case 'requests':
      return new SpillwayError('rate_limit_exceeded', `${whose} has used its requests for this minute`, options)
    case 'tokens':
      return new SpillwayError('rate_limit_exceeded', `${whose} has used its tokens for this minute`, options)
    case 'concurrent':
      return new SpillwayError('concurrency_limit_exceeded', `${whose} has as many requests open as it may`, options)
    case 'usd':
      return new SpillwayError('insufficient_quota', `${whose} has used its budget for this month`, options)
  }
}

/** What each rejection says to the caller: what happened and what to do. */
export function rejectionError(rejection: Rejection, model: string, reason: ErrorReason): SpillwayError {
  const { retryAfterMs } = rejection
  const options = { reason, ...(retryAfterMs !== undefined && { retryAfterMs }) }
  const tried =
    rejection.attempts === 0 ? '' : ` after ${rejection.attempts} ${rejection.attempts === 1 ? 'try' : 'tries'}`
  return new SpillwayError(
    rejection.code,
    `${rejectionTexts[rejection.code] ?? 'the request could not be served'}: model ${model}${tried}${furtherWords(reason)}`,
    options,
  )
}

/** The same in words as in the field `reason`. */
function furtherWords({ constraint, class: name, expected_wait_ms: waitMs, alternatives }: ErrorReason): string {
  const { tier, models, countries } = alternatives
  const isWait = constraint === 'wait' || constraint === 'deadline' || constraint === 'queue-length'
  const others = [
    tier && 'service_tier flex, which may wait longer',
    models && `the model ${models.join(' or ')}`,
    countries && `places in ${countries.join(', ')}, if this workspace's terms allowed them`,
  ].filter((text) => text !== undefined)
  const wait = isWait ? `; class ${name}, expected wait ${Math.ceil(waitMs / 1000)} s` : ''
  return others.length === 0 ? wait : `${wait}; what else there is: ${others.join('; ')}`
}

const rejectionTexts: Partial<Record<ErrorCode, string>> = {
  no_eligible_endpoint: 'no place that may serve this workspace has this model',
  overloaded: 'all places that may serve this are full; try again after the time given',
  queue_timeout: 'no place became free in time; try again after the time given',
  unavailable: 'no place that may serve this can be reached at this moment',
  upstream_error: 'the vendor failed',
  upstream_invalid_answer: 'the vendor sent an answer that is not one',
  upstream_unauthorized: 'the vendor did not take our credentials; the operator has been told',
  upstream_timeout: 'the vendor did not answer in time',
}
