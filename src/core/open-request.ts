import type { EndpointState } from './endpoint-state.ts'
import type { Attempt } from './events.ts'
import type { Failure } from './failure.ts'
import type { Model } from './model.ts'
import type { Eligibility, RequestFacts } from './request.ts'

/** A request between its arrival and its end. */
export interface OpenRequest {
  readonly facts: RequestFacts
  readonly model: Model
  readonly sequence: number
  readonly priority: number
  readonly arrivedMs: number
  /** Of its affinity; undefined where it has none. */
  readonly affinityHash: number | undefined
  /** The word in force; the arrival's own until the law changes. */
  eligible: Eligibility
  waiting: boolean
  /** Since when it waits, this time. */
  waitingFromMs: number
  /** How long this wait may last. */
  waitUntilMs: number
  /** All its waits that are over, together. */
  waitedMs: number
  /** Attempts so far: numbers the next. */
  attempts: number
  /** Of them, those that were made: not withdrawn before they were sent. */
  tries: number
  /** Endpoints that failed it; not asked again. */
  failedAt: EndpointState[]
  lastFailure: Failure | undefined
  /** Infinite while nothing has failed it. */
  firstFailureMs: number
  timeouts: number
  running: OpenAttempt | undefined
}

/** A try between its dispatch and its end. */
export interface OpenAttempt {
  readonly attempt: Attempt
  readonly state: EndpointState
  readonly request: OpenRequest
  readonly startedMs: number
  answering: boolean
  /** Made to find out whether an endpoint that was thought bad is good again. */
  readonly trial: boolean
}

/** Larger priority first, then the order of arrival. */
export function comesBefore(
  a: { readonly priority: number; readonly sequence: number },
  b: { readonly priority: number; readonly sequence: number },
): boolean {
  return a.priority > b.priority || (a.priority === b.priority && a.sequence < b.sequence)
}
