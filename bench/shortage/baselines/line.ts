import type { Failure } from '../../../src/core/failure.ts'
import type { Eligibility } from '../../../src/core/request.ts'
import { isEligible } from '../../../src/core/request.ts'
import { Desk, type Ticket } from './desk.ts'
import type { Place } from './place.ts'

/** nginx's `fail_timeout`: a place that failed is left alone so long, then tried with one request. */
const restMs = 10_000
const lookAgainMs = 1_000
/** A first token is expected to take this many times its average: late ones were served for nothing. */
const caution = 2

interface Group {
  readonly eligible: Eligibility
  readonly priority: number
  /** In the order of arrival; those that wait no more are passed over when their turn comes. */
  readonly tickets: Ticket[]
}

/**
 * One waiting line before all places, highest priority first, then in the order of arrival, that fills no place above
 * its slots. `deadlineMs`: after its arrival; a request whose first token is expected later than that is dropped rather
 * than served. Without it everybody waits until served or gone.
 */
export class Line extends Desk {
  readonly #deadlineMs: number
  readonly #groups: Group[] = []
  readonly #waiting = new Set<Ticket>()
  readonly #restsUntilMs = new Map<Place, number>()
  /** Times to first token as they last were: a moving average over some sixteen. */
  readonly #firstTokenMs = new Map<Place, number>()

  constructor(attemptsMax: number, deadlineMs = Number.POSITIVE_INFINITY) {
    super(attemptsMax)
    this.#deadlineMs = deadlineMs
  }

  override nextWakeMs(): number | undefined {
    if (this.#waiting.size === 0) return undefined
    const [first] = this.#waiting as unknown as Iterable<Ticket>
    const restsOverMs = Math.min(...this.#restsUntilMs.values())
    return Math.min((first as Ticket).facts.arrivedAtMs + this.#deadlineMs, restsOverMs)
  }

  protected override comes(ticket: Ticket, nowMs: number): void {
    let best: Place | undefined
    for (const place of this.eligible(ticket)) {
      if (!this.#hasRoom(place, nowMs)) continue
      if (best === undefined || load(place) < load(best)) best = place
    }
    // Nobody who could use the place waits: it would have been theirs when it became free.
    if (best !== undefined) return this.dispatch(ticket, best, nowMs)
    this.#waiting.add(ticket)
    const { eligible, serviceClass } = ticket.facts
    const { priority } = serviceClass
    let group = this.#groups.find((one) => one.eligible === eligible && one.priority === priority)
    if (group === undefined) {
      group = { eligible, priority, tickets: [] }
      this.#groups.push(group)
    }
    if (ticket.attempts === 0) group.tickets.push(ticket)
    else group.tickets.unshift(ticket)
  }

  protected override leaves(ticket: Ticket): void {
    this.#waiting.delete(ticket)
  }

  protected override freed(place: Place, nowMs: number): void {
    while (this.#hasRoom(place, nowMs)) {
      const next = this.#next(place, nowMs)
      if (next === undefined) return
      this.dispatch(next, place, nowMs)
    }
  }

  protected override woken(nowMs: number): void {
    for (const ticket of this.#waiting) {
      if (nowMs < ticket.facts.arrivedAtMs + this.#deadlineMs) break
      this.reject(ticket, nowMs)
    }
    for (const [place, untilMs] of this.#restsUntilMs) {
      if (untilMs > nowMs) continue
      this.freed(place, nowMs)
      // A try of it runs, or nobody can use it: it is looked at again, and not at once.
      if (this.#restsUntilMs.has(place)) this.#restsUntilMs.set(place, nowMs + lookAgainMs)
    }
  }

  protected override answered(place: Place, startedMs: number, nowMs: number): void {
    this.#restsUntilMs.delete(place)
    const known = this.#firstTokenMs.get(place) ?? nowMs - startedMs
    this.#firstTokenMs.set(place, known + (nowMs - startedMs - known) / 16)
    this.freed(place, nowMs)
  }

  protected override failed(place: Place, _failure: Failure, _startedMs: number, nowMs: number): void {
    this.#restsUntilMs.set(place, nowMs + restMs)
  }

  #hasRoom(place: Place, nowMs: number): boolean {
    const restsUntilMs = this.#restsUntilMs.get(place)
    if (restsUntilMs !== undefined) return restsUntilMs <= nowMs && place.inFlight === 0
    return place.inFlight < place.endpoint.concurrencyMax
  }

  #next(place: Place, nowMs: number): Ticket | undefined {
    let best: Ticket | undefined
    for (const { eligible, priority, tickets } of this.#groups) {
      if (best !== undefined && priority < best.facts.serviceClass.priority) continue
      if (!isEligible(eligible, place.endpoint.index)) continue
      this.#dropLate(tickets, place, nowMs)
      const [head] = tickets
      if (head === undefined) continue
      if (
        best === undefined ||
        priority > best.facts.serviceClass.priority ||
        head.facts.arrivedAtMs < best.facts.arrivedAtMs
      )
        best = head
    }
    return best
  }

  /** Takes those off the head of a group who wait no more, and those who would be served too late. */
  #dropLate(tickets: Ticket[], place: Place, nowMs: number): void {
    const firstTokenMs = caution * (this.#firstTokenMs.get(place) ?? 0)
    for (;;) {
      const [head] = tickets
      if (head === undefined) return
      if (this.#waiting.has(head)) {
        if (nowMs + firstTokenMs <= head.facts.arrivedAtMs + this.#deadlineMs) return
        this.reject(head, nowMs)
      }
      tickets.shift()
    }
  }
}

function load(place: Place): number {
  return place.inFlight / place.endpoint.concurrencyMax
}
