import type { Failure } from '../../../src/core/failure.ts'
import { Desk, type Ticket } from './desk.ts'
import type { Place, Strategy } from './place.ts'

/** Sends every request on at once, and elsewhere where that fails: what proxies do that have no queue. */
export class Relay extends Desk {
  readonly #strategy: Strategy

  constructor(strategy: Strategy, attemptsMax: number) {
    super(attemptsMax)
    this.#strategy = strategy
  }

  protected override comes(ticket: Ticket, nowMs: number): void {
    const { facts, tried } = ticket
    if (ticket.attempts === 0 && this.#strategy.admits?.(facts, nowMs) === false) return this.reject(ticket, nowMs)
    const place = this.#strategy.pick(this.eligible(ticket), facts, tried, nowMs)
    if (place === undefined) this.reject(ticket, nowMs)
    else this.dispatch(ticket, place, nowMs)
  }

  protected override answered(place: Place, startedMs: number, nowMs: number): void {
    this.#strategy.answered?.(place, startedMs, nowMs)
  }

  protected override failed(place: Place, failure: Failure, startedMs: number, nowMs: number): void {
    this.#strategy.failed?.(place, failure, startedMs, nowMs)
  }
}
