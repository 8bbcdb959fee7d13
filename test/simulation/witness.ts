import type { Endpoint } from '../../src/core/endpoint.ts'
import type { Action, Attempt, EndpointHealth, Rejection, SchedulerEvent } from '../../src/core/events.ts'
import type { EndpointId, RequestId } from '../../src/core/ids.ts'
import type { Scheduler, SchedulerPolicy } from '../../src/core/scheduler.ts'
import { Books, boundOf, comesBefore, type Expected, type Seen } from './books.ts'
import type { Place } from './place.ts'

const patienceMs = 250
/** Patience of those who wait for a place that warms up, twice the look-again, and how late a wake-up may be. */
const idleMsMax = patienceMs + 2 * 100 + 2 * 40

/**
 * Knows the rules of ARCHITECTURE.md and nothing of the code: sees what the scheduler is told and what it says, keeps
 * its own books, and throws where a rule is broken.
 */
export class Witness {
  readonly counts = { requests: 0, dispatched: 0, retried: 0, rejected: 0, ejected: 0, trials: 0, waited: 0 }
  readonly #policy: SchedulerPolicy
  readonly #scheduler: Scheduler
  readonly #books: Books
  /** When this event came, as many waited as may. */
  #full = false
  /** Those who came before one that was given a place: they would have been served too late, or they still wait. */
  #passedOver: { readonly seen: Seen; readonly by: string }[] = []

  /** `law` is what the tenants' terms say at this moment. */
  constructor(policy: SchedulerPolicy, scheduler: Scheduler, law: (tenant: string, endpoint: Endpoint) => boolean) {
    this.#policy = policy
    this.#scheduler = scheduler
    this.#books = new Books(policy.attemptsMax, law)
  }

  handled(event: SchedulerEvent, actions: readonly Action[], nowMs: number): void {
    if (event.kind === 'request-arrived') this.counts.requests++
    this.#books.nowMs = nowMs
    const expected = this.#books.take(event)
    this.#full = this.#books.waiting >= this.#policy.queueLengthMax
    for (const action of actions) {
      switch (action.kind) {
        case 'dispatch':
          this.#dispatched(action.attempt)
          break
        case 'reject':
          this.#rejected(action.requestId, action.rejection)
          break
        case 'abort':
          check(expected.abort === action.attemptId, 'only the attempt of a cancelled request is aborted')
          expected.abort = undefined
          break
        case 'endpoint-state':
          this.#claimed(action.endpointId, action.state, expected)
          break
      }
    }
    check(expected.abort === undefined, 'the attempt of a cancelled request is aborted')
    check(!expected.ejected, 'an endpoint is ejected after five failures in a row')
    check(!expected.opened, 'an ejected endpoint that answers is open again')
    check(
      expected.mustEnd === undefined || !this.#books.open.has(expected.mustEnd),
      'a request that cannot be served is told so',
    )
    for (const { seen, by } of this.#passedOver)
      check(
        seen.running !== undefined || !this.#books.open.has(seen.facts.id),
        `${seen.facts.id} waits for its place, and comes before ${by}`,
      )
    this.#passedOver = []
    this.#lookAtOnce(event)
    if (event.kind === 'woken') this.#lookAround()
  }

  /** Nothing is left open when all is over. */
  finish(): void {
    const open = [...this.#books.open.keys()]
    check(open.length === 0, `every request ends: ${open.join(', ')} did not`)
  }

  // ---- what the scheduler says ----------------------------------------------------------------------------------

  #dispatched(attempt: Attempt): void {
    const books = this.#books
    const { nowMs } = books
    const seen = books.open.get(attempt.requestId)
    if (seen === undefined) throw new Error(`${attempt.requestId} is dispatched though it has ended`)
    check(seen.running === undefined, 'a request has one attempt at a time, and none after its first byte')
    const place = books.current.get(attempt.endpoint.id)
    if (place === undefined) throw new Error(`${attempt.endpoint.id} is asked though it is not in the set`)
    check(place.endpoint === attempt.endpoint, 'an attempt is made at the endpoint as it is now')
    check(seen.allowed?.has(place.endpoint.id) === true, 'nothing is dispatched outside its eligibility')
    check(!seen.failedAt.has(place), 'an endpoint that failed a request is not asked for it again')
    check(place.inFlight < place.endpoint.concurrencyMax, 'in-flight never passes the limit')
    // A rounding error is not a token.
    check(place.missing(boundOf(seen), nowMs) < 1e-6, "a vendor's quota is not asked for more than it has")
    const { saturationMax = Number.POSITIVE_INFINITY } = seen.facts.serviceClass
    check(place.saturation(nowMs) < saturationMax + 1e-9, 'a class is not given a place above its ceiling')
    check(
      this.#full || books.isLastCall(seen) || !place.isOpen || place.inFlight < place.limit(nowMs),
      'what is learned of a limit is kept to',
    )
    check(nowMs <= seen.facts.deadlineMs, 'nothing is dispatched past its deadline')
    check(nowMs <= books.waitEndMs(seen), 'no request waits for longer than it may')
    check(nowMs >= place.heldUntilMs, 'a vendor that asked to be left alone is left alone')
    check(seen.tries < this.#policy.attemptsMax, 'never more than attemptsMax tries')
    if (seen.tries > 0) this.#checkLeave(seen)
    if (!place.isOpen) this.#checkTrial(seen, place)
    check(this.#full || books.isLastCall(seen) || !books.isTooEarly(seen, place, false), 'a list in order is kept to')
    this.#checkOrder(seen, place)
    this.counts.dispatched++
    if (seen.tries > 0) this.counts.retried++
    if (!place.isOpen) this.counts.trials++
    if (nowMs > seen.waitingFromMs) this.counts.waited++
    books.dispatched(seen, attempt, place)
  }

  #rejected(id: RequestId, { code, attempts, retryAfterMs }: Rejection): void {
    const seen = this.#books.open.get(id)
    if (seen === undefined) throw new Error(`${id} is refused though it has ended`)
    check(seen.running === undefined, 'no request is refused while an attempt is made for it')
    check((code === 'no_eligible_endpoint') === (seen.allowed?.size === 0), 'only a request without a place is told so')
    check(attempts >= seen.tries, 'a refusal says how often it was tried')
    const isBusy = code === 'unavailable' || code === 'overloaded' || code === 'queue_timeout'
    check(!isBusy || (retryAfterMs ?? 0) > 0, 'a busy or broken house says when to ask again')
    this.counts.rejected++
    this.#books.open.delete(id)
    if (seen.tries >= this.#policy.attemptsMax || seen.timeouts > 1) return
    for (const place of this.#books.current.values())
      check(
        !place.isOpen || !this.#books.mayHave(seen, place, true) || !this.#books.surelyHasLeave(seen),
        `no request fails while an eligible endpoint has a free slot: ${id} and ${place.endpoint.id}`,
      )
  }

  #claimed(id: EndpointId, state: EndpointHealth, expected: Expected): void {
    const place = this.#books.current.get(id)
    if (place === undefined) throw new Error(`${id} is said to be ${state} though it is not in the set`)
    // What cannot be reached is said to be down, whatever else is true of it.
    const opens = state === 'open' || (state === 'down' && expected.mayOpen)
    if (!place.ejected && !expected.mayEject) {
      check(state !== 'ejected', 'an endpoint is ejected for five failures in a row, and for nothing less')
    } else if (opens) {
      check(expected.mayOpen, 'only an answer ends an ejection')
      expected.opened = false
      place.ejected = false
    } else if (expected.mayEject) {
      expected.mayEject = false
      expected.ejected = false
      place.eject(this.#books.nowMs)
      this.counts.ejected++
    }
  }

  // ---- the longer rules -----------------------------------------------------------------------------------------

  /**
   * Retries of a model within any ten seconds: a fifth of its first tries, and three more; with much traffic a fifth in
   * each second too; in order among those who wait.
   */
  #checkLeave(seen: Seen): void {
    const books = this.#books
    const { firsts, retries } = books.spent(seen.facts.model)
    check(retries + 1 <= 0.2 * firsts + 3, `retries stay within their budget: ${retries + 1} for ${firsts}`)
    check(!books.isStorm(seen.facts.model), 'retries of one second stay within a fifth of its first tries')
    const standing = books.standing(seen.facts.model)
    for (const other of books.open.values()) {
      if (
        other.tries === 0 ||
        other.facts.model !== seen.facts.model ||
        !comesBefore(other, seen, standing, books.nowMs)
      )
        continue
      for (const place of books.current.values())
        check(
          !place.isOpen || place.wasEjected || place.wasHeld || !books.mayHave(other, place),
          `${seen.facts.id} is given leave to retry, which ${other.facts.id} waits for and comes before it`,
        )
    }
  }

  /** A place that is thought bad: one request at a time finds out, unless there is nothing better or all are bad. */
  #checkTrial(seen: Seen, place: Place): void {
    const books = this.#books
    if ((books.isPanic(seen.facts.model) && !place.down) || books.isCornered(seen)) return
    check(!place.down, 'an endpoint that cannot be reached is left alone while there are others')
    check(place.trials === 0, 'an ejected endpoint is tried by one request at a time')
    if (books.nowMs >= place.ejectedUntilMs) return
    const inVain = [...books.open.values()].some(
      (other) =>
        other.running === undefined &&
        other.facts.model === seen.facts.model &&
        (books.nowMs >= other.arrivedMs + patienceMs || books.isLastCall(other)),
    )
    check(inVain || this.#full, 'an ejected endpoint sits out its time while nobody waits in vain')
    // For whom tokens of a quota are kept may change with every request that is served.
    for (const other of books.current.values())
      check(
        !other.isOpen || other.wasEjected || other.hasQuota || !books.mayHave(seen, other),
        `an ejected endpoint is not tried ahead of its time for one that ${other.endpoint.id} has room for`,
      )
  }

  /** Nobody waits who comes before this one and could have the place: a good one, or a bad one with nothing better left. */
  #checkOrder(seen: Seen, place: Place): void {
    const books = this.#books
    const standing = books.standing(seen.facts.model)
    for (const other of books.open.values()) {
      if (other.running !== undefined || other.facts.model !== seen.facts.model) continue
      if (!comesBefore(other, seen, standing, books.nowMs)) continue
      const wants = place.isOpen
        ? seen.tries > 0 || books.surelyHasLeave(other)
        : other.tries === 0 && books.isCornered(other, true)
      if (wants && !books.isListOnQuota(other, place) && books.mayHave(other, place))
        this.#passedOver.push({ seen: other, by: `${seen.facts.id}, which is given ${place.endpoint.id}` })
    }
  }

  /** Nobody waits for a first try beside a place that nothing but this event can have freed. */
  #lookAtOnce(event: SchedulerEvent): void {
    const books = this.#books
    for (const seen of books.open.values()) {
      if (seen.running !== undefined || seen.tries > 0) continue
      const isCornered = books.isCornered(seen, true)
      for (const place of books.current.values()) {
        // Time alone frees what was held, and tokens.
        if (place.wasHeld || place.hasQuota || books.isListOnQuota(seen, place) || !books.mayHave(seen, place)) continue
        check(!place.isOpen || place.wasEjected, `${seen.facts.id} is not given ${place.endpoint.id}, which is free`)
        check(!isCornered, `the last place of ${seen.facts.id} is not ejected for it`)
      }
      if (event.kind === 'request-arrived' && event.request.id === seen.facts.id && isCornered)
        check(!books.hasSomePlace(seen), `the last place of ${seen.facts.id} is not ejected for it`)
    }
  }

  /** Nobody waits beside any free place for long, and the scheduler's own figures are right. */
  #lookAround(): void {
    const books = this.#books
    const { waiting, endpoints } = this.#scheduler.snapshot(books.nowMs)
    check(waiting === books.waiting, `${waiting} are said to wait, ${books.waiting} do`)
    for (const { endpointId, inFlight } of endpoints)
      check(inFlight === books.current.get(endpointId)?.inFlight, `in-flight of ${endpointId} is right`)
    for (const seen of books.open.values()) {
      if (seen.running !== undefined) continue
      const isIdle = books.surelyHasLeave(seen) && books.hasSomePlace(seen)
      seen.idleSinceMs = isIdle ? (seen.idleSinceMs ?? books.nowMs) : undefined
      const idleMs = books.nowMs - (seen.idleSinceMs ?? books.nowMs)
      check(idleMs <= idleMsMax, `${seen.facts.id} waits beside a free place`)
    }
  }
}

function check(holds: boolean, rule: string): void {
  if (!holds) throw new Error(rule)
}
