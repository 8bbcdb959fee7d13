import type { EndpointState } from './endpoint-state.ts'
import type { Attempt } from './events.ts'
import type { Failure } from './failure.ts'
import type { Model } from './model.ts'
import { hashText } from './rendezvous.ts'
import type { Eligibility, RequestFacts } from './request.ts'

/** A request between its arrival and its end. */
export interface OpenRequest {
  readonly facts: RequestFacts
  readonly model: Model
  /** Order of arrival in this scheduler. */
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

export function openRequest(facts: RequestFacts, model: Model, sequence: number, nowMs: number): OpenRequest {
  return {
    facts,
    model,
    sequence,
    priority: facts.serviceClass.priority,
    arrivedMs: nowMs,
    affinityHash: facts.affinity === undefined ? undefined : hashText(facts.affinity),
    eligible: facts.eligible,
    waiting: false,
    waitingFromMs: nowMs,
    waitUntilMs: nowMs,
    waitedMs: 0,
    attempts: 0,
    tries: 0,
    failedAt: [],
    lastFailure: undefined,
    firstFailureMs: Number.POSITIVE_INFINITY,
    timeouts: 0,
    running: undefined,
  }
}

/** Larger priority first, then the order of arrival. */
export function comesBefore(
  a: { readonly priority: number; readonly sequence: number },
  b: { readonly priority: number; readonly sequence: number },
): boolean {
  return a.priority > b.priority || (a.priority === b.priority && a.sequence < b.sequence)
}
