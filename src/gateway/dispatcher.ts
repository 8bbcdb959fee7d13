import type { Clock } from '../core/clock.ts'
import type { Action, Attempt, EndpointHealth, Rejection, SchedulerEvent } from '../core/events.ts'
import { FlatMap } from '../core/flat-map.ts'
import type { AttemptId, EndpointId, RequestId, TenantId } from '../core/ids.ts'
import type { Eligibility, RequestFacts } from '../core/request.ts'
import type { Scheduler } from '../core/scheduler.ts'
import type { ServiceClass } from '../core/service-class.ts'
import type { Plane } from './plane.ts'

/** A request as the dispatcher sees it: what it is told when the scheduler has decided. */
export interface Dispatchable {
  readonly facts: RequestFacts
  /** Who may serve it under a new generation of the plane. */
  eligibleNow(plane: Plane): Eligibility
  dispatched(attempt: Attempt): void
  rejected(rejection: Rejection): void
  aborted(): void
}

/** Where every event goes that the scheduler saw, and what it said, for `spillway replay-decisions`. */
export interface EventLog {
  /** Before the scheduler has it: one that it cannot take is the one to look for. */
  event(event: SchedulerEvent, nowMs: number): void
  /** What it said to the last event. */
  said(actions: readonly Action[]): void
}

/**
 * Carries events to the scheduler and does what it says. The only place that calls it, so that its one timer and its
 * event log see everything.
 */
export class Dispatcher {
  readonly #scheduler: Scheduler
  readonly #clock: Clock
  readonly #log: EventLog | undefined
  readonly #onEndpointState: (endpoint: EndpointId, state: EndpointHealth) => void
  readonly #requests = new FlatMap<RequestId, Dispatchable>()
  readonly #attempts = new FlatMap<AttemptId, Dispatchable>()
  readonly #pending: SchedulerEvent[] = []
  #handling = false
  #timer: NodeJS.Timeout | undefined
  #timerDueMs = Number.POSITIVE_INFINITY

  constructor(
    scheduler: Scheduler,
    clock: Clock,
    onEndpointState: (endpoint: EndpointId, state: EndpointHealth) => void,
    log?: EventLog,
  ) {
    this.#scheduler = scheduler
    this.#clock = clock
    this.#onEndpointState = onEndpointState
    this.#log = log
  }

  /** Requests between arrival and end. */
  get open(): number {
    return this.#requests.size
  }

  /** Expected wait of a tenant's next request for a slot, ms; 0 if one is free. */
  expectedWaitMs(model: string, eligible: Eligibility, serviceClass: ServiceClass, tenant: TenantId): number {
    return this.#scheduler.expectedWaitMs(model, eligible, serviceClass, tenant, this.#clock.nowMs())
  }

  arrive(request: Dispatchable): void {
    this.#requests.set(request.facts.id, request)
    this.tell({ kind: 'request-arrived', request: request.facts })
  }

  /** The request has ended in the host's eyes: nothing more is said of it. */
  forget(request: Dispatchable): void {
    this.#requests.delete(request.facts.id)
  }

  /** Each open request's word under a new law. */
  eligibilityChanged(plane: Plane): void {
    for (const request of this.#requests.values()) {
      this.tell({ kind: 'eligibility-changed', requestId: request.facts.id, eligible: request.eligibleNow(plane) })
    }
  }

  /** Hands an event to the scheduler and does what it says. An event told while another is handled waits its turn. */
  tell(event: SchedulerEvent): void {
    this.#pending.push(event)
    if (this.#handling) return
    this.#handling = true
    try {
      for (let next = this.#pending.shift(); next !== undefined; next = this.#pending.shift()) this.#handle(next)
    } finally {
      this.#handling = false
    }
    this.#setTimer()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #handle(event: SchedulerEvent): void {
    const nowMs = this.#clock.nowMs()
    this.#log?.event(event, nowMs)
    if (event.kind === 'attempt-completed' || event.kind === 'attempt-failed' || event.kind === 'attempt-refused') {
      this.#attempts.delete(event.attemptId)
    }
    const actions = this.#scheduler.handle(event, nowMs)
    this.#log?.said(actions)
    for (const action of actions) this.#perform(action)
  }

  #perform(action: Action): void {
    switch (action.kind) {
      case 'dispatch': {
        const request = this.#requests.get(action.attempt.requestId)
        if (request === undefined) throw new Error(`dispatch of unknown request ${action.attempt.requestId}`)
        this.#attempts.set(action.attempt.id, request)
        request.dispatched(action.attempt)
        return
      }
      case 'reject':
        this.#requests.get(action.requestId)?.rejected(action.rejection)
        return
      case 'abort':
        this.#attempts.get(action.attemptId)?.aborted()
        this.#attempts.delete(action.attemptId)
        return
      case 'endpoint-state':
        this.#onEndpointState(action.endpointId, action.state)
        return
    }
  }

  #setTimer(): void {
    const dueMs = this.#scheduler.nextWakeMs()
    // A timer that fires too early only looks again; moving it for every event would cost more.
    if (dueMs === undefined || dueMs >= this.#timerDueMs) return
    clearTimeout(this.#timer)
    this.#timerDueMs = dueMs
    this.#timer = setTimeout(
      () => {
        this.#timerDueMs = Number.POSITIVE_INFINITY
        this.tell({ kind: 'woken' })
      },
      Math.max(0, Math.ceil(dueMs - this.#clock.nowMs())),
    )
  }
}
