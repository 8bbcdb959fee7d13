import type { QuotaWord } from './quota.ts'

/**
 * How an attempt failed before a byte of its answer reached the client.
 *
 * - `unreachable`: no connection: refused, no route, name not found, TLS handshake failed.
 * - `reset`: the connection broke before the answer was whole (JSON) or had begun (stream).
 * - `timed-out`: no first byte within the limit.
 * - `rate-limited`: 429. `retryAfterMs` as the vendor said, absent if it did not.
 * - `overloaded`: 503, or 529. `retryAfterMs` likewise.
 * - `server-error`: 500, 502, 504 and other 5xx.
 * - `unauthorized`: 401 or 403 to our own credentials, or credentials could not be had: the operator's trouble.
 * - `missing-model`: 404: this endpoint does not have the model it was listed for.
 * - `withdrawn`: not made: the law or the configuration changed between the decision and the sending.
 * - `broken`: an answer that is not one: not JSON, wrong length, a redirect, 101, too large.
 */
export type FailureKind =
  | 'unreachable'
  | 'reset'
  | 'timed-out'
  | 'rate-limited'
  | 'overloaded'
  | 'server-error'
  | 'unauthorized'
  | 'missing-model'
  | 'broken'
  | 'withdrawn'

export interface Failure {
  readonly kind: FailureKind
  /** The vendor's status, where there was one. */
  readonly status?: number
  /** How long the vendor asked us to stay away. */
  readonly retryAfterMs?: number
  /**
   * A `reset` of a connection that had been idle, before a byte came back: the vendor closed it as we used it. Says
   * nothing of the vendor, and the same place may be asked again.
   */
  readonly stale?: true
  /** What the vendor said of its limits. */
  readonly quota?: QuotaWord
}
