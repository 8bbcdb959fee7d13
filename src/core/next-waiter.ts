import { comesLater } from './choose.ts'
import { hasRoomFor, isBelowCeiling } from './comparison.ts'
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
 * The first in order of those who wait for this place and may have it now, or undefined. A place that is thought bad is
 * given to one at a time, to find out. `hurried`: as if somebody had waited in vain for long.
 */
export function nextWaiter(
  model: Model,
  state: EndpointState,
  hurried: boolean,
  nowMs: number,
): OpenRequest | undefined {
  const { fleet, queue, retries } = model
  if (queue.length === 0 || !state.isFree(nowMs) || !fleet.isPresent(state)) return undefined
  if (state.inFlight >= state.limit(nowMs)) return undefined
  const isGood = model.isGood(state)
  if (!isGood && !state.isTrialDue(true, nowMs)) return undefined
  const canRetry = retries.canRetry(nowMs)
  // A request that could not be tried elsewhere is not the one to find out.
  if (!canRetry && (!isGood || queue.length === queue.retryingLength)) return undefined
  const mayUse = (eligible: Eligibility, retrying: boolean) =>
    !(retrying && !(canRetry && isGood)) && fleet.fits(eligible) && isEligible(eligible, state.endpoint.index)
  const isOpenToAll = isGood ? state.inFlight < state.slots(nowMs) : state.isTrialDue(false, nowMs)
  if (!isOpenToAll && !hurried && !queue.hasComeBefore(nowMs - patienceMs, mayUse)) return undefined
  const waiter = queue.first(
    nowMs,
    mayUse,
    (waiter) =>
      !waiter.failedAt.includes(state) &&
      isBelowCeiling(waiter, state, nowMs) &&
      !comesLater(model, waiter, state, nowMs),
  )
  if (waiter === undefined || state.fits(waiter.tokens, nowMs)) return waiter
  state.claimant = waiter
  return undefined
}

/** Those who wait and have no good place left, in order. */
export function* corneredWaiters(model: Model, nowMs: number): Generator<OpenRequest> {
  const { fleet, queue, retries } = model
  const canRetry = retries.canRetry(nowMs)
  // Of first tries nobody is cornered who has a good place that lets itself be asked.
  const mayBe = (eligible: Eligibility, retrying: boolean) =>
    fleet.fits(eligible) && (retrying ? canRetry : !hasGood(model, eligible, nowMs))
  const isCornered = (waiter: OpenRequest) => model.isCornered(waiter)
  for (const waiter of queue.inOrder(nowMs, mayBe, (waiter) => waiter.tries > 0 || isCornered(waiter)))
    if (isCornered(waiter)) yield waiter
}

function hasGood(model: Model, eligible: Eligibility, nowMs: number): boolean {
  for (const { heldUntilMs, quota } of model.goodOnes(eligible))
    if (heldUntilMs <= nowMs && quota === undefined) return true
  return false
}

/** Those who wait for leave to retry, in order. */
export function retryingWaiters({ fleet, queue }: Model, nowMs: number): Generator<OpenRequest> {
  return queue.inOrder(nowMs, (eligible, retrying) => retrying && fleet.fits(eligible))
}

/**
 * At the end of its wait any place with a free slot will do, beyond a slow start, what is learned of its limit, a list's
 * order, an ejection's time.
 */
export function mayTakeAnyway(model: Model, request: OpenRequest, state: EndpointState, nowMs: number): boolean {
  if (!state.isFree(nowMs) || request.failedAt.includes(state) || !model.hasLeave(request, nowMs)) return false
  if (!hasRoomFor(model, request, state, nowMs)) return false
  if (model.isGood(state) || state.isTrialDue(true, nowMs) || model.isCornered(request)) return true
  return request.tries === 0 && state.isLastTrialDue(nowMs)
}
