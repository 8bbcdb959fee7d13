import type { Action, Attempt, Rejection, SchedulerEvent } from '../../src/core/events.ts'
import type { AttemptId, RequestId } from '../../src/core/ids.ts'
import type { Scheduler } from '../../src/core/scheduler.ts'

/** What a test lets happen when the scheduler has decided. */
export interface Performer {
  dispatched(attempt: Attempt): void
  rejected?(requestId: RequestId, rejection: Rejection): void
  aborted?(attemptId: AttemptId): void
  /** After each event, with what the scheduler made of it. */
  handled?(event: SchedulerEvent, actions: readonly Action[]): void
}

/**
 * A host in virtual time: an agenda of things to do instead of timers and sockets, and the dispatcher's way of telling
 * events one at a time. `lateMs` says by how much the next wake-up call comes too late.
 */
export class VirtualHost {
  nowMs = 0
  readonly scheduler: Scheduler
  readonly #performer: Performer
  readonly #lateMs: () => number
  readonly #agenda: { readonly dueMs: number; readonly act: () => void }[] = []
  readonly #pending: SchedulerEvent[] = []
  #handling = false
  #wakeDueMs = Number.POSITIVE_INFINITY

  constructor(scheduler: Scheduler, performer: Performer, lateMs: () => number = () => 0) {
    this.scheduler = scheduler
    this.#performer = performer
    this.#lateMs = lateMs
  }

  after(ms: number, act: () => void): void {
    this.at(this.nowMs + ms, act)
  }

  /** Does it at this moment; what is due at one moment happens in the order it was asked for. */
  at(dueMs: number, act: () => void): void {
    let from = 0
    let to = this.#agenda.length
    // Latest first, so that the next to do is taken from the end.
    while (from < to) {
      const middle = (from + to) >> 1
      if ((this.#agenda[middle]?.dueMs as number) > dueMs) from = middle + 1
      else to = middle
    }
    this.#agenda.splice(from, 0, { dueMs, act })
  }

  tell(event: SchedulerEvent): void {
    this.#pending.push(event)
    if (this.#handling) return
    this.#handling = true
    for (let next = this.#pending.shift(); next !== undefined; next = this.#pending.shift()) {
      const actions = this.scheduler.handle(next, this.nowMs)
      this.#performer.handled?.(next, actions)
      for (const action of actions) {
        if (action.kind === 'dispatch') this.#performer.dispatched(action.attempt)
        if (action.kind === 'reject') this.#performer.rejected?.(action.requestId, action.rejection)
        if (action.kind === 'abort') this.#performer.aborted?.(action.attemptId)
      }
    }
    this.#handling = false
    const dueMs = this.scheduler.nextWakeMs()
    if (dueMs !== undefined && dueMs < this.#wakeDueMs) this.#wakeDueMs = dueMs + this.#lateMs()
  }

  /** Lets everything happen that is due up to this moment. */
  runUntil(untilMs: number): void {
    for (;;) {
      const next = this.#agenda.at(-1)
      const dueMs = next?.dueMs ?? Number.POSITIVE_INFINITY
      if (Math.min(dueMs, this.#wakeDueMs) > untilMs) break
      this.nowMs = Math.max(this.nowMs, Math.min(dueMs, this.#wakeDueMs))
      if (dueMs <= this.#wakeDueMs) {
        this.#agenda.pop()
        next?.act()
      } else {
        this.#wakeDueMs = Number.POSITIVE_INFINITY
        this.tell({ kind: 'woken' })
      }
    }
    this.nowMs = Math.max(this.nowMs, untilMs)
  }
}
