import type { ClassAccount, Flow } from './fair-shares.ts'
import type { Model } from './model.ts'
import type { Eligibility } from './request.ts'

/** Who asks how long it would wait; without a flow, a tenant that has nothing open. */
export interface Asker {
  readonly eligible: Eligibility
  readonly priority: number
  readonly account: ClassAccount | undefined
  readonly flow: Flow | undefined
}

/**
 * Expected wait of one who came now, ms; 0 where a slot is free. Those who are served before it share the slots it may
 * use; where its class has been waiting for a while, no less than the pace of its own line says. A class that is served
 * in spite of others, by its floor or its least share, need not wait for these.
 */
export function expectedWaitMs(model: Model, asker: Asker, nowMs: number): number {
  const { eligible, account } = asker
  if (!model.fleet.fits(eligible)) return 0
  const { slots, hasRoom, soonestMs } = model.outlook(eligible, nowMs)
  if (slots === 0) return Number.isFinite(soonestMs) ? Math.max(0, soonestMs - nowMs) : 0
  const { shares, queue } = model
  const { serviceMs } = model.times
  const ahead = aheadInClass(model, asker)
  const above = waitingAbove(model, asker.priority)
  if (hasRoom && ahead + above === 0) return 0
  // One more than are ahead: the slot that the last of them takes has to become free once again. Those with other terms
  // compete for some of its slots only: all of them count against all slots, those of its own terms against its own.
  const allSlots = Math.max(slots, model.slots)
  const aheadHere = account === undefined ? 0 : Math.min(ahead, queue.lengthOf(eligible, account))
  const aboveHere = queue.lengthAbove(eligible, asker.priority)
  const waitMs = serviceMs * Math.max((above + ahead + 1) / allSlots, (aboveHere + aheadHere + 1) / slots)
  if (account === undefined) return waitMs
  const byShareMs =
    (serviceMs * Math.max((ahead + 1) / allSlots, (aheadHere + 1) / slots)) / shares.certainShare(account)
  return Math.max(Math.min(waitMs, byShareMs), (ahead + 1) * (account.paceMs(nowMs) ?? 0))
}

/**
 * What it would wait at the least, ms: only those of its own terms are counted who are served before it, as if nobody
 * else wanted these slots. Who is refused for a wait must be sure to have it; the expected one also counts lines that
 * may go elsewhere.
 */
export function leastWaitMs(model: Model, asker: Asker, nowMs: number): number {
  const { eligible, account, priority } = asker
  const { slots } = model.outlook(eligible, nowMs)
  if (slots === 0) return 0
  const ahead = account === undefined ? 0 : model.queue.lengthOf(eligible, account)
  const before = model.queue.lengthAbove(eligible, priority) + Math.min(ahead, aheadInClass(model, asker))
  return (model.times.serviceMs * (before + 1)) / slots
}

/** Of its own class: all tenants take turns, those ahead of their share of tokens later. */
function aheadInClass({ shares }: Model, { account, flow }: Asker): number {
  if (account === undefined || account.waiting === 0) return 0
  const { serviceClass, flowsWaiting } = account
  const over = flow === undefined ? 0 : (flow.counter - shares.servedAt(account.priority)) * serviceClass.weight
  const turns = (flow?.waiting ?? 0) + 1 + Math.max(0, over / Math.max(1, shares.chargeMean))
  return Math.min(account.waiting, Math.ceil(turns * flowsWaiting))
}

function waitingAbove({ shares }: Model, priority: number): number {
  let waiting = 0
  for (const account of shares.accounts) if (account.priority > priority) waiting += account.waiting
  return waiting
}
