import type { Action, EndpointHealth, SchedulerEvent } from './events.ts'
import type { EndpointId } from './ids.ts'
import type { Random } from './random.ts'
import type { Eligibility } from './request.ts'

/** Bounds the scheduler keeps. Times in ms. */
export interface SchedulerPolicy {
  /** Tries for one request, the first included. */
  readonly attemptsMax: number
  /** Requests waiting at once over all models; above it the newest of the lowest priority is refused. */
  readonly queueLengthMax: number
}

/** One candidate as the explain call and the console see it. */
export interface EndpointSnapshot {
  readonly endpointId: EndpointId
  readonly health: EndpointHealth
  readonly inFlight: number
  readonly concurrencyMax: number
  /** Expected time to the first token, ms. */
  readonly firstTokenMs: number
  readonly ejectedForMs: number
}

export interface SchedulerSnapshot {
  readonly waiting: number
  readonly endpoints: readonly EndpointSnapshot[]
}

/** What one candidate would mean for a request right now. */
export interface Candidate extends EndpointSnapshot {
  /** Why it would not be tried now; absent for those that would. */
  readonly removedBy?: string
  readonly score?: number
}

/** PLACEHOLDER shape: see the events for the meaning. */
export declare class Scheduler {
  constructor(policy: SchedulerPolicy, random: Random)
  handle(event: SchedulerEvent, nowMs: number): readonly Action[]
  /** When `woken` is due, or undefined while nothing waits for time to pass. */
  nextWakeMs(): number | undefined
  snapshot(nowMs: number): SchedulerSnapshot
  /** Ranks the eligible endpoints of a model as a request arriving now would see them. Changes nothing. */
  explain(model: string, eligible: Eligibility, affinity: string | undefined, nowMs: number): readonly Candidate[]
  /** Expected wait for a slot, ms; 0 if one is free. */
  expectedWaitMs(model: string, eligible: Eligibility, nowMs: number): number
}
