import type { Endpoint, RoutingPreset } from './endpoint.ts'
import type { ErrorCode } from './errors.ts'
import type { Failure } from './failure.ts'
import type { AttemptId, EndpointId, RequestId } from './ids.ts'
import type { QuotaWord } from './quota.ts'
import type { Eligibility, RequestFacts, TokenCount } from './request.ts'

/** What a host tells the scheduler. Each event carries all that a replay needs. */
export type SchedulerEvent =
  | { readonly kind: 'request-arrived'; readonly request: RequestFacts }
  /** The caller has left, or the host gives the request up. Ends it in any state; idempotent. */
  | { readonly kind: 'request-cancelled'; readonly requestId: RequestId }
  /** The first byte of the answer is about to go to the client: no other attempt after this. */
  | { readonly kind: 'attempt-answering'; readonly attemptId: AttemptId; readonly quota?: QuotaWord }
  /** `quota`: where the answer came whole, what the vendor said with it; of a stream it is known before. */
  | {
      readonly kind: 'attempt-completed'
      readonly attemptId: AttemptId
      readonly tokens: TokenCount
      readonly quota?: QuotaWord
    }
  /** Before `attempt-answering`: tried elsewhere or rejected. After it: the request ends here, cut. */
  | { readonly kind: 'attempt-failed'; readonly attemptId: AttemptId; readonly failure: Failure }
  /** The vendor refused the request itself (400, 413, 422 …): its answer goes to the caller, no other attempt. */
  | { readonly kind: 'attempt-refused'; readonly attemptId: AttemptId }
  /**
   * A whole new set: endpoints, how each model routes. Kept by id where an endpoint stays; attempts in flight go on.
   * Words (`Eligibility`) of another version than this are not used: who waits with one waits for its new word.
   */
  | {
      readonly kind: 'endpoints-changed'
      readonly version: number
      readonly endpoints: readonly Endpoint[]
      readonly routing: RoutingByModel
    }
  /** The law changed: the new word for a request that is open. */
  | { readonly kind: 'eligibility-changed'; readonly requestId: RequestId; readonly eligible: Eligibility }
  /** A probe outside any request says whether the endpoint can be reached. */
  | { readonly kind: 'endpoint-probed'; readonly endpointId: EndpointId; readonly reachable: boolean }
  | { readonly kind: 'woken' }

export type RoutingByModel = Readonly<Record<string, RoutingPreset>>

/** One try at one endpoint. `number` counts from 1 within its request. */
export interface Attempt {
  readonly id: AttemptId
  readonly requestId: RequestId
  readonly number: number
  readonly endpoint: Endpoint
}

/**
 * What stood against a request. `terms`: no place may serve it. `deadline`: it would have been served too late. `wait`: it
 * has waited as long as it may. `queue-length`: as many wait as may. `vendor-limit`: vendors take no more. `outage`: no
 * place can be reached. `failures`: its tries failed.
 */
export type RefusalConstraint = 'terms' | 'deadline' | 'wait' | 'queue-length' | 'vendor-limit' | 'outage' | 'failures'

export interface RefusalReason {
  readonly constraint: RefusalConstraint
  /** Of one like it that came now. */
  readonly expectedWaitMs: number
}

/** Why a request got no (further) attempt. */
export interface Rejection {
  readonly code: ErrorCode
  /** The last failure, where attempts were made. */
  readonly failure?: Failure
  /** When it is worth asking again; absent where it is not. */
  readonly retryAfterMs?: number
  readonly attempts: number
  readonly reason: RefusalReason
}

/** What the scheduler tells its host to do, in order. */
export type Action =
  | { readonly kind: 'dispatch'; readonly attempt: Attempt }
  | { readonly kind: 'reject'; readonly requestId: RequestId; readonly rejection: Rejection }
  | { readonly kind: 'abort'; readonly attemptId: AttemptId }
  /** For metrics and logs: an endpoint changed between open, ejected and half-open. */
  | { readonly kind: 'endpoint-state'; readonly endpointId: EndpointId; readonly state: EndpointHealth }

/** `probing`: half-open, one request at a time. `down`: a probe could not reach it. */
export type EndpointHealth = 'open' | 'ejected' | 'probing' | 'down'
