import type { EndpointState } from './endpoint-state.ts'
import type { Failure } from './failure.ts'
import type { Flow } from './fair-shares.ts'
import type { AttemptId } from './ids.ts'
import type { Model } from './model.ts'
import type { Charged } from './quota.ts'
import { hashText } from './rendezvous.ts'
import type { Eligibility, RequestFacts } from './request.ts'

/**
 * A request between its arrival and its end, and its running try. One object for both: with hundreds of thousands in
 * flight, what is not in one place is waited for twice.
 */
export interface OpenRequest {
  readonly facts: RequestFacts
  readonly model: Model
  /** Order of arrival in this scheduler. */
  readonly sequence: number
  /** Its class and tenant: its place among others. */
  readonly flow: Flow
  readonly deadlineMs: number
  /** Tokens its tenant was charged for it; undefined before the first try. */
  fairCharge: number | undefined
  /** Its class's ceiling; infinite where it has none. */
  readonly saturationMax: number
  /** The upper bound of what it uses, input and output: what vendors charge when it is sent. */
  readonly tokens: number
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
  failedAt: readonly EndpointState[]
  lastFailure: Failure | undefined
  /** Infinite while nothing has failed it. */
  firstFailureMs: number
  timeouts: number
  /** The running try; 0 while none runs. */
  attemptId: AttemptId
  /** Where it runs, or ran last. */
  state: EndpointState | undefined
  startedMs: number
  /** Where its prompt's prefix is known: tokens that the place had to read, and what else it had to do. */
  tokensToRead: number
  inFlightBefore: number
  answering: boolean
  /** It was made to find out whether an endpoint that was thought bad is good again. */
  trial: boolean
  /** What stood on the mirror of the vendor's quota when it was sent; undefined where there was none. */
  charged: Charged | undefined
}

/** One whose try runs. */
export type RunningRequest = OpenRequest & { readonly state: EndpointState }

/** Nearly every request: no list of its own for it. */
const nowhere: readonly EndpointState[] = []

export function openRequest(facts: RequestFacts, model: Model, sequence: number, nowMs: number): OpenRequest {
  return {
    facts,
    model,
    sequence,
    flow: model.shares.flowOf(facts),
    deadlineMs: facts.deadlineMs,
    fairCharge: undefined,
    saturationMax: facts.serviceClass.saturationMax ?? Number.POSITIVE_INFINITY,
    tokens: facts.tokens.input + facts.tokens.output,
    arrivedMs: nowMs,
    affinityHash: facts.affinity === undefined ? undefined : hashText(facts.affinity),
    eligible: facts.eligible,
    waiting: false,
    waitingFromMs: nowMs,
    waitUntilMs: nowMs,
    waitedMs: 0,
    attempts: 0,
    tries: 0,
    failedAt: nowhere,
    lastFailure: undefined,
    firstFailureMs: Number.POSITIVE_INFINITY,
    timeouts: 0,
    attemptId: 0,
    state: undefined,
    startedMs: nowMs,
    tokensToRead: 0,
    inFlightBefore: 0,
    answering: false,
    trial: false,
    charged: undefined,
  }
}
