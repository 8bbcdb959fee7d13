import { comesLater } from './choose.ts'
import type { EndpointState } from './endpoint-state.ts'
import type { Model } from './model.ts'
import type { OpenRequest } from './open-request.ts'
import { type Eligibility, isEligible } from './request.ts'

/**
 * A slow start, or an ejection, is kept to while there is elsewhere to go. For one who came so long ago and still
 * waits there is not: places that warm up are filled, ejected ones tried ahead of their time.
 */
const patienceMs = 250

/**
 * The first in order of those who wait for this place and may have it now, or undefined. `hurried`: as if somebody had
 * waited in vain for long.
 */
export function nextWaiter(
  model: Model,
  state: EndpointState,
  hurried: boolean,
  nowMs: number,
): OpenRequest | undefined {
  const { fleet, queue, retries } = model
  if (queue.length === 0 || !state.isFree(nowMs) || !fleet.isPresent(state)) return undefined
  const canRetry = retries.canRetry(nowMs)
  const mayUse = (eligible: Eligibility, retrying: boolean) =>
    (canRetry || !retrying) && fleet.fits(eligible) && isEligible(eligible, state.endpoint.index)
  const isInVain = () => hurried || queue.oldestMs(mayUse) <= nowMs - patienceMs
  const mayAsk = (waiter: OpenRequest) => !waiter.failedAt.includes(state)
  const isNext = (waiter: OpenRequest) => mayAsk(waiter) && !comesLater(model, waiter, state, nowMs)
  if (model.isGood(state)) {
    const isWarm = state.inFlight < state.slots(nowMs)
    return isWarm || isInVain() ? queue.first(nowMs, mayUse, isNext) : undefined
  }
  const tries = canRetry && (state.isTrialDue(false, nowMs) || (state.isTrialDue(true, nowMs) && isInVain()))
  const mayTry = (waiter: OpenRequest) =>
    (tries && waiter.tries === 0 && isNext(waiter)) || (mayAsk(waiter) && model.isCornered(waiter))
  return queue.first(nowMs, mayUse, mayTry)
}

/** At the end of its wait any place with a free slot will do, beyond a slow start, a list's order, an ejection's time. */
export function mayTakeAnyway(model: Model, request: OpenRequest, state: EndpointState, nowMs: number): boolean {
  if (!state.isFree(nowMs) || request.failedAt.includes(state) || !model.hasLeave(request, nowMs)) return false
  if (model.isGood(state) || state.isTrialDue(true, nowMs) || model.isCornered(request)) return true
  return request.tries === 0 && state.isLastTrialDue(nowMs)
}
