import type { EndpointState } from './endpoint-state.ts'
import type { Failure } from './failure.ts'
import type { Charged } from './quota.ts'

/** A vendor that refuses for rate without saying for how long is left alone for a second. */
const holdMsDefault = 1_000

/** What a failed try says of its endpoint. Gives true where the endpoint is ejected by it. */
export function teach(
  state: EndpointState,
  failure: Failure,
  startedMs: number,
  answering: boolean,
  nowMs: number,
): boolean {
  if (failure.stale === true) return false
  switch (failure.kind) {
    case 'withdrawn':
      return false
    case 'missing-model':
      // Callers choose the path that is asked for, and a vendor may lack one of them: they must not eject it for others.
      state.disappointed(nowMs)
      return false
    case 'rate-limited':
      state.held(failure.retryAfterMs ?? holdMsDefault, nowMs)
      // Where its limits are known, it is they that are used up; an opaque vendor may mean the number at once.
      if (state.quota?.isKnown !== true && failure.quota === undefined) state.overloaded(startedMs, nowMs)
      return false
    case 'overloaded':
      if (failure.retryAfterMs !== undefined) state.held(failure.retryAfterMs, nowMs)
      state.overloaded(startedMs, nowMs)
      return state.failed(startedMs, answering, nowMs)
    case 'unreachable':
    case 'reset':
    case 'timed-out':
    case 'server-error':
    case 'unauthorized':
    case 'broken':
      return state.failed(startedMs, answering, nowMs)
  }
}

/** What a failed try, or one that was given up, leaves charged on the mirror of the vendor's quota. */
export function settleFailed(
  state: EndpointState,
  failure: Failure,
  tokens: number,
  charged: Charged | undefined,
  nowMs: number,
): void {
  if (charged !== undefined) {
    switch (failure.kind) {
      case 'rate-limited':
        state.quota?.refused(tokens, failure.retryAfterMs ?? holdMsDefault, nowMs)
        break
      case 'withdrawn':
      case 'unreachable':
        state.quota?.takeBack(tokens, nowMs)
        break
      default:
        // It may have begun to work on it: nobody says what it counted.
        break
    }
  }
  if (failure.quota !== undefined) state.quotaSaid(failure.quota, charged, nowMs)
}
