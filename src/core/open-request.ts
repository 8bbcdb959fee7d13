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
  /** Of its affinity; undefined where it has none. */
  readonly affinityHash: number | undefined
  /** The word in force; the arrival's own until the law changes. */
  eligible: Eligibility
  /** Nothing is done for it after this: its deadline, or sooner where it only waits for leave to retry. */
  deadlineMs: number
  waiting: boolean
  /** Since when it waits, this time. */
  waitingFromMs: number
  ended: boolean
  attempts: number
  /** Of these the ones that were withdrawn before they were made: they count as none. */
  withdrawn: number
  /** Endpoints that failed it; not asked again. */
  failedAt: EndpointState[]
  lastFailure: Failure | undefined
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
  readonly probe: boolean
}
