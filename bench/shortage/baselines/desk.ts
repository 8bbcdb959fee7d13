import type { Action, SchedulerEvent } from '../../../src/core/events.ts'
import type { Failure } from '../../../src/core/failure.ts'
import type { RequestFacts } from '../../../src/core/request.ts'
import type { Decider } from '../../../src/simulator/simulation.ts'
import type { Place } from './place.ts'

/** A request that is open, and the try that runs for it. */
export interface Ticket {
  readonly facts: RequestFacts
  /** Where it has failed. */
  readonly tried: Place[]
  attempts: number
  attemptId: number
  place: Place | undefined
  startedMs: number
  answering: boolean
}

/** The books that every baseline has to keep: what is open, what runs where. What to do is its heirs' affair. */
export abstract class Desk implements Decider {
  protected places: readonly Place[] = []
  readonly #attemptsMax: number
  readonly #tickets = new Map<string, Ticket>()
  readonly #byAttempt = new Map<number, Ticket>()
  #actions: Action[] = []
  #nextAttemptId = 1

  constructor(attemptsMax: number) {
    this.#attemptsMax = attemptsMax
  }

  handle(event: SchedulerEvent, nowMs: number): readonly Action[] {
    this.#actions = []
    switch (event.kind) {
      case 'endpoints-changed':
        this.places = event.endpoints.map((endpoint) => ({ endpoint, inFlight: 0 }))
        break
      case 'request-arrived': {
        const ticket = ticketOf(event.request)
        this.#tickets.set(event.request.id, ticket)
        this.comes(ticket, nowMs)
        break
      }
      case 'request-cancelled': {
        const ticket = this.#tickets.get(event.requestId)
        if (ticket === undefined) break
        if (ticket.place !== undefined) this.#actions.push({ kind: 'abort', attemptId: ticket.attemptId })
        this.#end(ticket, nowMs)
        break
      }
      case 'attempt-answering': {
        const ticket = this.#running(event.attemptId)
        ticket.answering = true
        this.answered(ticket.place as Place, ticket.startedMs, nowMs)
        break
      }
      case 'attempt-completed':
        this.#end(this.#running(event.attemptId), nowMs)
        break
      case 'attempt-failed':
        this.#fails(this.#running(event.attemptId), event.failure, nowMs)
        break
      case 'woken':
        this.woken(nowMs)
        break
      default:
        throw new Error(`the baselines know nothing of ${event.kind}`)
    }
    return this.#actions
  }

  /** See `Scheduler.nextWakeMs`. */
  nextWakeMs(): number | undefined {
    return undefined
  }

  /** It has come, or a try of it has failed and it may have another. */
  protected abstract comes(ticket: Ticket, nowMs: number): void
  /** It is over, or waits no more. */
  protected leaves(_ticket: Ticket): void {}
  /** The place has a slot more. */
  protected freed(_place: Place, _nowMs: number): void {}
  protected woken(_nowMs: number): void {}
  protected answered(_place: Place, _startedMs: number, _nowMs: number): void {}
  protected failed(_place: Place, _failure: Failure, _startedMs: number, _nowMs: number): void {}

  protected eligible({ facts }: Ticket): readonly Place[] {
    return Array.from(facts.eligible.indices, (index) => this.places[index] as Place)
  }

  protected dispatch(ticket: Ticket, place: Place, nowMs: number): void {
    this.leaves(ticket)
    ticket.place = place
    ticket.attempts++
    ticket.attemptId = this.#nextAttemptId++
    ticket.startedMs = nowMs
    place.inFlight++
    this.#byAttempt.set(ticket.attemptId, ticket)
    const { attemptId: id, attempts: number, facts } = ticket
    this.#actions.push({ kind: 'dispatch', attempt: { id, requestId: facts.id, number, endpoint: place.endpoint } })
  }

  protected reject(ticket: Ticket, nowMs: number): void {
    const { facts, attempts } = ticket
    this.#end(ticket, nowMs)
    const reason = { constraint: 'wait', expectedWaitMs: 0 } as const
    this.#actions.push({ kind: 'reject', requestId: facts.id, rejection: { code: 'overloaded', attempts, reason } })
  }

  #running(attemptId: number): Ticket {
    return this.#byAttempt.get(attemptId) as Ticket
  }

  #fails(ticket: Ticket, failure: Failure, nowMs: number): void {
    const place = ticket.place as Place
    this.failed(place, failure, ticket.startedMs, nowMs)
    if (ticket.answering) return this.#end(ticket, nowMs)
    this.#release(ticket)
    ticket.tried.push(place)
    if (ticket.attempts < this.#attemptsMax) this.comes(ticket, nowMs)
    else this.reject(ticket, nowMs)
    this.freed(place, nowMs)
  }

  #end(ticket: Ticket, nowMs: number): void {
    const { place } = ticket
    this.#tickets.delete(ticket.facts.id)
    this.leaves(ticket)
    if (place === undefined) return
    this.#release(ticket)
    this.freed(place, nowMs)
  }

  #release(ticket: Ticket): void {
    this.#byAttempt.delete(ticket.attemptId)
    ;(ticket.place as Place).inFlight--
    ticket.place = undefined
  }
}

function ticketOf(facts: RequestFacts): Ticket {
  return { facts, tried: [], attempts: 0, attemptId: 0, place: undefined, startedMs: 0, answering: false }
}
