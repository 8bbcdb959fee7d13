import type { Endpoint, RoutingPreset } from '../../src/core/endpoint.ts'
import type { Action, Attempt, EndpointHealth, Rejection, SchedulerEvent } from '../../src/core/events.ts'
import type { Failure } from '../../src/core/failure.ts'
import type { AttemptId, EndpointId, RequestId } from '../../src/core/ids.ts'
import type { RequestFacts } from '../../src/core/request.ts'
import type { Scheduler, SchedulerPolicy } from '../../src/core/scheduler.ts'
import { Place } from './place.ts'

/** A request as the witness has seen it. */
interface Seen {
  readonly facts: RequestFacts
  readonly order: number
  readonly arrivedMs: number
  /** Where it may go by its tenant's terms; undefined while its word is older than the endpoints in force. */
  allowed: ReadonlySet<EndpointId> | undefined
  tries: number
  timeouts: number
  readonly failedAt: Set<Place>
  running: Running | undefined
  waitingFromMs: number
  waitedMs: number
  /** Since when it waits although it could be served. */
  idleSinceMs: number | undefined
}

interface Running {
  readonly id: AttemptId
  readonly place: Place
  readonly startedMs: number
  readonly trial: boolean
  answering: boolean
}

const budgetWindowMs = 10_000
/** The scheduler counts its budget by the second: within these bounds it may be stricter than the rule. */
const budgetSlackMs = 1_000
/** Patience of those who wait for a place that warms up, twice the look-again, and how late a wake-up may be. */
const idleMsMax = 250 + 2 * 100 + 2 * 40
const patienceMs = 250
const lastCallMs = 50

/**
 * Knows the rules of ARCHITECTURE.md and nothing of the code: sees what the scheduler is told and what it says, keeps
 * its own books, and throws where a rule is broken.
 */
export class Witness {
  readonly #policy: SchedulerPolicy
  readonly #scheduler: Scheduler
  readonly #law: (tenant: string, endpoint: Endpoint) => boolean
  readonly #open = new Map<RequestId, Seen>()
  readonly #attempts = new Map<AttemptId, Seen>()
  /** When this event came, as many waited as may. */
  #full = false
  readonly #places = new Map<string, Place>()
  readonly #tries = new Map<string, { readonly atMs: number; readonly kind: 'first' | 'retry' }[]>()
  #current = new Map<EndpointId, Place>()
  #routing: Readonly<Record<string, RoutingPreset>> = {}
  #version = 0
  #nowMs = 0
  #order = 0
  readonly counts = {
    requests: 0,
    dispatched: 0,
    retried: 0,
    rejected: 0,
    completed: 0,
    ejected: 0,
    trials: 0,
    waited: 0,
  }

  constructor(policy: SchedulerPolicy, scheduler: Scheduler, law: (tenant: string, endpoint: Endpoint) => boolean) {
    this.#policy = policy
    this.#scheduler = scheduler
    this.#law = law
  }

  handled(event: SchedulerEvent, actions: readonly Action[], nowMs: number): void {
    this.#nowMs = nowMs
    const expected = this.#take(event)
    this.#full = this.#waiting() >= this.#policy.queueLengthMax
    for (const action of actions) {
      switch (action.kind) {
        case 'dispatch':
          this.#dispatched(action.attempt)
          break
        case 'reject':
          this.#rejected(action.requestId, action.rejection)
          break
        case 'abort':
          this.#check(expected.abort === action.attemptId, 'only the attempt of a cancelled request is aborted')
          expected.abort = undefined
          break
        case 'endpoint-state':
          this.#claimed(action.endpointId, action.state, expected)
          break
      }
    }
    this.#check(expected.abort === undefined, 'the attempt of a cancelled request is aborted')
    this.#check(!expected.ejected, 'an endpoint is ejected after five failures in a row')
    this.#check(!expected.opened, 'an ejected endpoint that answers is open again')
    this.#check(
      expected.mustEnd === undefined || !this.#open.has(expected.mustEnd),
      'a request that cannot be served is told so',
    )
    this.#look(event)
  }

  /** Nothing is left open when all is over. */
  finish(): void {
    this.#check(this.#open.size === 0, `every request ends: ${[...this.#open.keys()].join(', ')} did not`)
  }

  // ---- what it is told ------------------------------------------------------------------------------------------

  #take(event: SchedulerEvent): Expected {
    const expected: Expected = {
      abort: undefined,
      ejected: false,
      opened: false,
      mayEject: false,
      mayOpen: false,
      mustEnd: undefined,
    }
    switch (event.kind) {
      case 'request-arrived': {
        this.counts.requests++
        const seen: Seen = {
          facts: event.request,
          order: this.#order++,
          arrivedMs: this.#nowMs,
          allowed: this.#allowedOf(event.request, event.request.eligible.version),
          tries: 0,
          timeouts: 0,
          failedAt: new Set(),
          running: undefined,
          waitingFromMs: this.#nowMs,
          waitedMs: 0,
          idleSinceMs: undefined,
        }
        this.#open.set(event.request.id, seen)
        if (seen.allowed?.size === 0) expected.mustEnd = event.request.id
        break
      }
      case 'request-cancelled': {
        const seen = this.#open.get(event.requestId)
        if (seen?.running !== undefined) {
          expected.abort = seen.running.id
          this.#left(seen)
        }
        this.#open.delete(event.requestId)
        break
      }
      case 'attempt-answering': {
        const { seen, running } = this.#runningOf(event.attemptId)
        running.answering = true
        this.#worked(running, expected)
        seen.idleSinceMs = undefined
        break
      }
      case 'attempt-completed': {
        const { seen, running } = this.#runningOf(event.attemptId)
        this.counts.completed++
        running.place.cutsInRow = 0
        if (!running.answering) this.#worked(running, expected)
        this.#left(seen)
        this.#open.delete(seen.facts.id)
        break
      }
      case 'attempt-refused': {
        const { seen, running } = this.#runningOf(event.attemptId)
        this.#worked(running, expected)
        this.#left(seen)
        this.#open.delete(seen.facts.id)
        break
      }
      case 'attempt-failed':
        this.#failed(event.attemptId, event.failure, expected)
        break
      case 'endpoints-changed':
        this.#changed(event.version, event.endpoints, event.routing)
        break
      case 'eligibility-changed': {
        const seen = this.#open.get(event.requestId)
        if (seen === undefined) break
        seen.allowed = this.#allowedOf(seen.facts, event.eligible.version)
        if (seen.running === undefined && seen.allowed?.size === 0) expected.mustEnd = event.requestId
        break
      }
      case 'endpoint-probed': {
        const place = this.#current.get(event.endpointId)
        if (place !== undefined) place.down = !event.reachable
        break
      }
      case 'woken':
        break
    }
    return expected
  }

  #worked({ place, startedMs }: Running, expected: Expected): void {
    place.failuresInRow = 0
    if (!place.ejected || startedMs < place.ejectedAtMs) return
    place.cutsInRow = 0
    if (!this.#isCurrent(place)) {
      place.ejected = false
      return
    }
    expected.mayOpen = true
    expected.opened = true
  }

  #failed(attemptId: AttemptId, failure: Failure, expected: Expected): void {
    const { seen, running } = this.#runningOf(attemptId)
    const { place, answering, startedMs } = running
    this.#left(seen)
    if (failure.kind === 'rate-limited') place.hold(failure.retryAfterMs ?? 1_000, this.#nowMs)
    if (failure.kind === 'overloaded') place.hold(failure.retryAfterMs ?? 0, this.#nowMs)
    const saysNothing = ['rate-limited', 'withdrawn', 'missing-model'].includes(failure.kind) || failure.stale === true
    if (!saysNothing) {
      const ejects = place.failed(startedMs, answering, this.#nowMs)
      if (!this.#isCurrent(place)) {
        if (ejects) place.eject(this.#nowMs)
      } else {
        expected.mayEject = ejects
        expected.ejected = ejects
      }
    }
    if (answering) {
      this.#open.delete(seen.facts.id)
      return
    }
    seen.waitingFromMs = this.#nowMs
    if (failure.kind === 'timed-out') seen.timeouts++
    if (failure.kind === 'withdrawn') {
      seen.tries--
      const made = this.#triesOf(seen.facts.model)
      const at = made.findLastIndex(({ atMs, kind }) => atMs === startedMs && (kind === 'first') === (seen.tries === 0))
      made.splice(at, 1)
      return
    }
    // The only place is asked once more after a reset, any after a connection that had been idle for too long.
    const mayAskAgain =
      failure.stale === true || (failure.kind === 'reset' && seen.tries === 1 && seen.allowed?.size === 1)
    if (failure.kind !== 'rate-limited' && !mayAskAgain) seen.failedAt.add(place)
    if (seen.tries >= this.#policy.attemptsMax || seen.timeouts > 1) expected.mustEnd = seen.facts.id
  }

  #left(seen: Seen): void {
    const { running } = seen
    if (running === undefined) return
    running.place.inFlight--
    if (running.trial) running.place.trials--
    this.#attempts.delete(running.id)
    seen.running = undefined
  }

  #changed(version: number, endpoints: readonly Endpoint[], routing: Readonly<Record<string, RoutingPreset>>): void {
    this.#version = version
    this.#routing = routing
    const next = new Map<EndpointId, Place>()
    for (const endpoint of endpoints) {
      const key = `${endpoint.id} ${endpoint.model} ${endpoint.subProcessor} ${endpoint.country}`
      const known = this.#places.get(key)
      const isForgotten =
        known === undefined || (!this.#isCurrent(known) && known.inFlight === 0 && known.heldUntilMs <= this.#nowMs)
      const place = isForgotten ? new Place(endpoint) : known
      place.endpoint = endpoint
      this.#places.set(key, place)
      next.set(endpoint.id, place)
    }
    this.#current = next
    for (const seen of this.#open.values()) seen.allowed = undefined
  }

  #allowedOf(facts: RequestFacts, version: number): ReadonlySet<EndpointId> | undefined {
    if (version !== this.#version) return undefined
    const allowed = new Set<EndpointId>()
    for (const { endpoint } of this.#current.values())
      if (endpoint.model === facts.model && this.#law(facts.tenant, endpoint)) allowed.add(endpoint.id)
    return allowed
  }

  // ---- what it says ---------------------------------------------------------------------------------------------

  #dispatched(attempt: Attempt): void {
    const seen = this.#open.get(attempt.requestId)
    if (seen === undefined) throw new Error(`${attempt.requestId} is dispatched though it has ended`)
    this.#check(seen.running === undefined, 'a request has one attempt at a time, and none after its first byte')
    const place = this.#current.get(attempt.endpoint.id)
    if (place === undefined) throw new Error(`${attempt.endpoint.id} is asked though it is not in the set`)
    this.#check(place.endpoint === attempt.endpoint, 'an attempt is made at the endpoint as it is now')
    const { facts } = seen
    this.#check(seen.allowed?.has(place.endpoint.id) === true, 'nothing is dispatched outside its eligibility')
    this.#check(!seen.failedAt.has(place), 'an endpoint that failed a request is not asked for it again')
    this.#check(place.inFlight < place.endpoint.concurrencyMax, 'in-flight never passes the limit')
    this.#check(this.#nowMs <= facts.deadlineMs, 'nothing is dispatched past its deadline')
    this.#check(this.#nowMs <= this.#waitEndMs(seen), 'no request waits for longer than it may')
    this.#check(this.#nowMs >= place.heldUntilMs, 'a vendor that asked to be left alone is left alone')
    this.#check(seen.tries < this.#policy.attemptsMax, 'never more than attemptsMax tries')
    if (seen.tries > 0) this.#checkBudget(facts.model)
    const trial = !place.isOpen
    if (trial) this.#checkTrial(seen, place)
    this.#check(
      this.#full || this.#isLastCall(seen) || !this.#isTooEarly(seen, place, false),
      'a list in order is kept to',
    )
    for (const other of this.#open.values()) {
      if (other.facts.model !== facts.model || !comesBefore(other, seen)) continue
      // A last call takes what others rightly wait to get better than: a place that is thought bad.
      this.#check(
        trial || !this.#couldHave(other, place, seen.tries > 0),
        `${facts.id} is given ${place.endpoint.id}, which ${other.facts.id} waits for and comes before it`,
      )
    }
    this.#triesOf(facts.model).push({ atMs: this.#nowMs, kind: seen.tries === 0 ? 'first' : 'retry' })
    this.counts.dispatched++
    if (seen.tries > 0) this.counts.retried++
    if (trial) this.counts.trials++
    if (this.#nowMs > seen.waitingFromMs) this.counts.waited++
    seen.tries++
    seen.waitedMs += this.#nowMs - seen.waitingFromMs
    seen.idleSinceMs = undefined
    seen.running = { id: attempt.id, place, startedMs: this.#nowMs, trial, answering: false }
    place.inFlight++
    if (trial) place.trials++
    this.#attempts.set(attempt.id, seen)
  }

  #rejected(id: RequestId, { code, attempts, retryAfterMs }: Rejection): void {
    const seen = this.#open.get(id)
    if (seen === undefined) throw new Error(`${id} is refused though it has ended`)
    this.#check(seen.running === undefined, 'no request is refused while an attempt is made for it')
    this.#check(
      (code === 'no_eligible_endpoint') === (seen.allowed?.size === 0),
      'only a request without a place is told so',
    )
    this.#check(attempts >= seen.tries, 'a refusal says how often it was tried')
    this.#check(
      code !== 'unavailable' && code !== 'overloaded' ? true : (retryAfterMs ?? 0) > 0,
      'a busy or broken house says when to ask again',
    )
    this.counts.rejected++
    this.#open.delete(id)
    if (seen.tries >= this.#policy.attemptsMax || seen.timeouts > 1) return
    for (const place of this.#current.values())
      this.#check(
        !place.isOpen || !this.#mayHave(seen, place) || !this.#surelyHasLeave(seen),
        `no request fails while an eligible endpoint has a free slot: ${id} and ${place.endpoint.id}`,
      )
  }

  #claimed(id: EndpointId, state: EndpointHealth, expected: Expected): void {
    const place = this.#current.get(id)
    if (place === undefined) throw new Error(`${id} is said to be ${state} though it is not in the set`)
    // What cannot be reached is said to be down, whatever else is true of it.
    const opens = state === 'open' || (state === 'down' && expected.mayOpen)
    if (!place.ejected && !expected.mayEject) {
      this.#check(state !== 'ejected', 'an endpoint is ejected for five failures in a row, and for nothing less')
    } else if (opens) {
      this.#check(expected.mayOpen, 'only an answer ends an ejection')
      expected.opened = false
      place.ejected = false
    } else if (expected.mayEject) {
      expected.mayEject = false
      expected.ejected = false
      place.eject(this.#nowMs)
      this.counts.ejected++
    }
  }

  // ---- the rules ------------------------------------------------------------------------------------------------

  /** Retries of a model within any ten seconds: a fifth of its first tries, and three more. */
  #checkBudget(model: string): void {
    const { firsts, retries } = this.#spent(model, budgetWindowMs, budgetWindowMs)
    this.#check(retries + 1 <= 0.2 * firsts + 3, `retries stay within their budget: ${retries + 1} for ${firsts}`)
  }

  #surelyHasLeave(seen: Seen): boolean {
    if (seen.tries === 0) return true
    const { firsts, retries } = this.#spent(
      seen.facts.model,
      budgetWindowMs - budgetSlackMs,
      budgetWindowMs + budgetSlackMs,
    )
    return retries + 1 <= 0.2 * firsts + 3
  }

  #spent(model: string, firstsMs: number, retriesMs: number): { firsts: number; retries: number } {
    const tries = this.#triesOf(model)
    while (tries.length > 0 && (tries[0]?.atMs as number) < this.#nowMs - budgetWindowMs - budgetSlackMs) tries.shift()
    let firsts = 0
    let retries = 0
    for (const { atMs, kind } of tries) {
      if (kind === 'first' && atMs > this.#nowMs - firstsMs) firsts++
      if (kind === 'retry' && atMs > this.#nowMs - retriesMs) retries++
    }
    return { firsts, retries }
  }

  /** A place that is thought bad: one request at a time finds out, unless there is nothing better or all are bad. */
  #checkTrial(seen: Seen, place: Place): void {
    if (this.#isPanic(place.endpoint.model) && !place.down) return
    if (this.#isCornered(seen)) return
    this.#check(!place.down, 'an endpoint that cannot be reached is left alone while there are others')
    this.#check(place.trials === 0, 'an ejected endpoint is tried by one request at a time')
    if (this.#nowMs >= place.ejectedUntilMs) return
    const inVain = [...this.#open.values()].some(
      (other) =>
        other.running === undefined &&
        other.facts.model === seen.facts.model &&
        (this.#nowMs >= other.arrivedMs + patienceMs || this.#isLastCall(other)),
    )
    this.#check(inVain || this.#full, 'an ejected endpoint sits out its time while nobody waits in vain')
  }

  /** Could this one, which waits, have the place now: is it free for it, good, and not one to come later? */
  #couldHave(seen: Seen, place: Place, leaveExists: boolean): boolean {
    return place.isOpen && this.#mayHave(seen, place) && (leaveExists || this.#surelyHasLeave(seen))
  }

  #mayHave(seen: Seen, place: Place): boolean {
    if (seen.running !== undefined || seen.allowed?.has(place.endpoint.id) !== true || seen.failedAt.has(place))
      return false
    if (!place.isFree(this.#nowMs) || this.#nowMs > this.#waitEndMs(seen)) return false
    return !this.#isTooEarly(seen, place, true)
  }

  /**
   * Does the list bid it wait for a place before this one, one that neither has failed it nor asked to be left alone nor
   * is thought bad? `trials`: an ejected one counts, since it may be about to be tried.
   */
  #isTooEarly(seen: Seen, place: Place, trials: boolean): boolean {
    if (this.#routing[place.endpoint.model] !== 'pinned') return false
    return [...this.#current.values()].some(
      (earlier) =>
        earlier.endpoint.index < place.endpoint.index &&
        seen.allowed?.has(earlier.endpoint.id) === true &&
        !seen.failedAt.has(earlier) &&
        earlier.heldUntilMs <= this.#nowMs &&
        (earlier.isOpen || (trials && !earlier.down && earlier.trials === 0)),
    )
  }

  /** No place is left to it that is open, or will let itself be asked before its wait is over. */
  #isCornered(seen: Seen): boolean {
    const panic = this.#isPanic(seen.facts.model)
    for (const place of this.#current.values()) {
      if (seen.allowed?.has(place.endpoint.id) !== true || seen.failedAt.has(place)) continue
      if ((place.isOpen || (panic && !place.down)) && place.heldUntilMs <= this.#waitEndMs(seen)) return false
    }
    return true
  }

  /** More than half of a model's endpoints are ejected: all are tried. */
  #isPanic(model: string): boolean {
    const places = [...this.#current.values()].filter(({ endpoint }) => endpoint.model === model)
    const ejected = places.filter(({ ejected }) => ejected).length
    return this.#routing[model] !== 'pinned' && ejected * 2 > places.length
  }

  #waitEndMs({ facts, waitingFromMs, waitedMs }: Seen): number {
    return Math.min(facts.deadlineMs, waitingFromMs + facts.waitMsMax - waitedMs)
  }

  #isLastCall(seen: Seen): boolean {
    return this.#nowMs >= this.#waitEndMs(seen) - lastCallMs
  }

  #waiting(): number {
    let waiting = 0
    for (const { running } of this.#open.values()) if (running === undefined) waiting++
    return waiting
  }

  /** Nobody waits beside a free place: not at all where nothing but the event could have freed it, else not for long. */
  #look(event: SchedulerEvent): void {
    for (const seen of this.#open.values()) {
      if (seen.running !== undefined || seen.tries > 0) continue
      for (const place of this.#current.values())
        this.#check(
          !place.isOpen || place.wasEjected || place.wasHeld || !this.#mayHave(seen, place),
          `${seen.facts.id} is not given ${place.endpoint.id}, which is free`,
        )
      if (event.kind === 'request-arrived' && event.request.id === seen.facts.id && this.#isCornered(seen))
        this.#check(!this.#hasSomePlace(seen), `the last place of ${seen.facts.id} is not ejected for it`)
    }
    if (event.kind !== 'woken') return
    const { waiting, endpoints } = this.#scheduler.snapshot(this.#nowMs)
    this.#check(waiting === this.#waiting(), `${waiting} are said to wait, ${this.#waiting()} do`)
    for (const { endpointId, inFlight } of endpoints)
      this.#check(inFlight === this.#current.get(endpointId)?.inFlight, `in-flight of ${endpointId} is right`)
    for (const seen of this.#open.values()) {
      if (seen.running !== undefined) continue
      const idle = this.#surelyHasLeave(seen) && this.#hasSomePlace(seen)
      seen.idleSinceMs = idle ? (seen.idleSinceMs ?? this.#nowMs) : undefined
      this.#check(
        seen.idleSinceMs === undefined || this.#nowMs - seen.idleSinceMs <= idleMsMax,
        `${seen.facts.id} waits beside a free place`,
      )
    }
  }

  #hasSomePlace(seen: Seen): boolean {
    const cornered = this.#isCornered(seen)
    const panic = this.#isPanic(seen.facts.model)
    for (const place of this.#current.values())
      if ((place.isOpen || cornered || (panic && !place.down)) && this.#mayHave(seen, place)) return true
    return false
  }

  #isCurrent(place: Place): boolean {
    return this.#current.get(place.endpoint.id) === place
  }

  #triesOf(model: string) {
    let tries = this.#tries.get(model)
    if (tries === undefined) {
      tries = []
      this.#tries.set(model, tries)
    }
    return tries
  }

  #runningOf(attemptId: AttemptId): { seen: Seen; running: Running } {
    const seen = this.#attempts.get(attemptId)
    if (seen?.running === undefined) throw new Error(`attempt ${attemptId} is not running: the test is wrong`)
    return { seen, running: seen.running }
  }

  #check(holds: boolean, rule: string): void {
    if (!holds) throw new Error(rule)
  }
}

/** What one event calls for, or allows. */
interface Expected {
  abort: AttemptId | undefined
  ejected: boolean
  opened: boolean
  mayEject: boolean
  mayOpen: boolean
  mustEnd: RequestId | undefined
}

function comesBefore(a: Seen, b: Seen): boolean {
  return a.facts.priority > b.facts.priority || (a.facts.priority === b.facts.priority && a.order < b.order)
}
