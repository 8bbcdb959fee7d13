import { leastWaitMs } from './expected-wait.ts'
import type { OpenRequest } from './open-request.ts'
import { isInteractive } from './service-class.ts'

/** A mean is not sure: a wait is refused where the least that is expected of it is half as long again as it may be. */
const doubt = 1.5

/**
 * Would it surely wait in vain? It would if the line is longer than its wait may be, or if what it wants would come
 * after its deadline. Never where a place has a free slot, whatever keeps it from that now, nor where none is at work or
 * nothing has ended yet: then nobody knows when the line moves on.
 */
export function waitsInVain(request: OpenRequest, nowMs: number): boolean {
  const { model, eligible, flow, waitUntilMs } = request
  if (!model.times.isKnown || !model.fleet.fits(eligible)) return false
  if (hasFreePlace(request, nowMs) || model.outlook(eligible, nowMs).slots === 0) return false
  const { account } = flow
  const asker = { eligible, priority: account.priority, account, flow }
  const startMs = nowMs + leastWaitMs(model, asker, nowMs) / doubt
  return startMs > waitUntilMs || comesTooLate(request, startMs)
}

/** Has a place a free slot that it may use, now or by and by? */
export function hasFreePlace({ model, eligible }: OpenRequest, nowMs: number): boolean {
  if (!model.fleet.fits(eligible)) return false
  for (const state of model.withRoomFor(eligible)) if (state.isFree(nowMs)) return true
  return false
}

/**
 * Would it have what it wants only after its deadline, were it dispatched then? Somebody waits for the first token of an
 * interactive request, for the whole answer of any other.
 */
export function comesTooLate({ model, flow, deadlineMs }: OpenRequest, startMs: number): boolean {
  if (!model.times.isKnown) return false
  const { tier } = flow.account.serviceClass
  return startMs + (isInteractive(tier) ? model.times.firstTokenMs : model.times.serviceMs) > deadlineMs
}
