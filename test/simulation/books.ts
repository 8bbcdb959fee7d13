import type { Endpoint, RoutingPreset } from '../../src/core/endpoint.ts'
import type { Attempt, SchedulerEvent } from '../../src/core/events.ts'
import type { Failure } from '../../src/core/failure.ts'
import type { AttemptId, EndpointId, RequestId } from '../../src/core/ids.ts'
import type { RequestFacts } from '../../src/core/request.ts'
import { Place } from './place.ts'

/** A request as the witness has seen it. */
export interface Seen {
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

export interface Running {
  readonly id: AttemptId
  readonly place: Place
  readonly startedMs: number
  readonly trial: boolean
  /** It was charged when it was sent. */
  readonly charged: boolean
  answering: boolean
}

/** Requests in flight of one model, by class and all together; and how often each class was passed over. */
export interface Standing {
  readonly inFlight: ReadonlyMap<string, number>
  readonly all: number
  readonly passedOver: ReadonlyMap<string, number>
}

/** What one event calls for, or allows. */
export interface Expected {
  abort: AttemptId | undefined
  ejected: boolean
  opened: boolean
  mayEject: boolean
  mayOpen: boolean
  mustEnd: RequestId | undefined
}

const budgetWindowMs = 10_000
/** The scheduler counts its budget by the second: within these bounds it may be stricter than the rule. */
const budgetSlackMs = 1_000
/** With more retries than these allowed in ten seconds, the three free ones in each are less than a second's own fifth. */
const busyRetries = 30
const lastCallMs = 50

/** What the witness knows: who is open, where it has been, what has become of each place. By the rules, not by the code. */
export class Books {
  readonly open = new Map<RequestId, Seen>()
  current: ReadonlyMap<EndpointId, Place> = new Map()
  nowMs = 0
  readonly #attemptsMax: number
  readonly #law: (tenant: string, endpoint: Endpoint) => boolean
  readonly #attempts = new Map<AttemptId, Seen>()
  readonly #places = new Map<string, Place>()
  readonly #tries = new Map<string, { readonly atMs: number; readonly kind: 'first' | 'retry' }[]>()
  /** By model and class: how often others were served since it was, while it waited. */
  readonly #passedOver = new Map<string, ReadonlyMap<string, number>>()
  #routing: Readonly<Record<string, RoutingPreset>> = {}
  #version = 0
  #order = 0

  constructor(attemptsMax: number, law: (tenant: string, endpoint: Endpoint) => boolean) {
    this.#attemptsMax = attemptsMax
    this.#law = law
  }

  // ---- what happens ---------------------------------------------------------------------------------------------

  /** Writes down what the scheduler is told. */
  take(event: SchedulerEvent): Expected {
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
        const seen: Seen = {
          facts: event.request,
          order: this.#order++,
          arrivedMs: this.nowMs,
          allowed: this.#allowedOf(event.request, event.request.eligible.version),
          tries: 0,
          timeouts: 0,
          failedAt: new Set(),
          running: undefined,
          waitingFromMs: this.nowMs,
          waitedMs: 0,
          idleSinceMs: undefined,
        }
        this.open.set(event.request.id, seen)
        if (seen.allowed?.size === 0) expected.mustEnd = event.request.id
        break
      }
      case 'request-cancelled': {
        const seen = this.open.get(event.requestId)
        if (seen?.running !== undefined) {
          expected.abort = seen.running.id
          this.#left(seen)
        }
        this.open.delete(event.requestId)
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
        running.place.cutsInRow = 0
        if (!running.answering) this.#worked(running, expected)
        if (running.charged) running.place.settle(boundOf(seen), event.tokens.input + event.tokens.output, this.nowMs)
        this.#left(seen)
        this.open.delete(seen.facts.id)
        break
      }
      case 'attempt-refused': {
        const { seen, running } = this.#runningOf(event.attemptId)
        this.#worked(running, expected)
        this.#left(seen)
        this.open.delete(seen.facts.id)
        break
      }
      case 'attempt-failed':
        this.#failed(event.attemptId, event.failure, expected)
        break
      case 'endpoints-changed':
        this.#changed(event.version, event.endpoints, event.routing)
        break
      case 'eligibility-changed': {
        const seen = this.open.get(event.requestId)
        if (seen === undefined) break
        seen.allowed = this.#allowedOf(seen.facts, event.eligible.version)
        if (seen.running === undefined && seen.allowed?.size === 0) expected.mustEnd = event.requestId
        break
      }
      case 'endpoint-probed': {
        const place = this.current.get(event.endpointId)
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
    if (failure.kind === 'rate-limited') {
      place.hold(failure.retryAfterMs ?? 1_000, this.nowMs)
      if (running.charged) place.refused(boundOf(seen), failure.retryAfterMs ?? 1_000, this.nowMs)
      if (!place.hasQuota) place.overloaded(startedMs, this.nowMs)
    }
    if (failure.kind === 'overloaded' && failure.stale !== true) place.overloaded(startedMs, this.nowMs)
    const wasNotSent = failure.kind === 'withdrawn' || failure.kind === 'unreachable'
    if (wasNotSent && running.charged) place.takeBack(boundOf(seen), this.nowMs)
    if (failure.kind === 'overloaded') place.hold(failure.retryAfterMs ?? 0, this.nowMs)
    const saysNothing = ['rate-limited', 'withdrawn', 'missing-model'].includes(failure.kind) || failure.stale === true
    if (!saysNothing) {
      const ejects = place.failed(startedMs, answering, this.nowMs)
      if (!this.#isCurrent(place)) {
        if (ejects) place.eject(this.nowMs)
      } else {
        expected.mayEject = ejects
        expected.ejected = ejects
      }
    }
    if (answering) {
      this.open.delete(seen.facts.id)
      return
    }
    seen.waitingFromMs = this.nowMs
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
    if (seen.tries >= this.#attemptsMax || seen.timeouts > 1) expected.mustEnd = seen.facts.id
  }

  #left(seen: Seen): void {
    const { running } = seen
    if (running === undefined) return
    running.place.inFlight--
    running.place.tokensInFlight -= boundOf(seen)
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
        known === undefined || (!this.#isCurrent(known) && known.inFlight === 0 && known.heldUntilMs <= this.nowMs)
      const place = isForgotten ? new Place(endpoint) : known
      place.configure(endpoint, this.nowMs)
      this.#places.set(key, place)
      next.set(endpoint.id, place)
    }
    this.current = next
    for (const seen of this.open.values()) seen.allowed = undefined
  }

  #allowedOf(facts: RequestFacts, version: number): ReadonlySet<EndpointId> | undefined {
    if (version !== this.#version) return undefined
    const allowed = new Set<EndpointId>()
    for (const { endpoint } of this.current.values())
      if (endpoint.model === facts.model && this.#law(facts.tenant, endpoint)) allowed.add(endpoint.id)
    return allowed
  }

  dispatched(seen: Seen, { id }: Attempt, place: Place): void {
    const trial = !place.isOpen
    this.#passOver(seen)
    this.#triesOf(seen.facts.model).push({ atMs: this.nowMs, kind: seen.tries === 0 ? 'first' : 'retry' })
    seen.tries++
    seen.waitedMs += this.nowMs - seen.waitingFromMs
    seen.idleSinceMs = undefined
    seen.running = { id, place, startedMs: this.nowMs, trial, charged: place.isCounted, answering: false }
    place.inFlight++
    place.tokensInFlight += boundOf(seen)
    place.charge(boundOf(seen), this.nowMs)
    if (trial) place.trials++
    this.#attempts.set(id, seen)
  }

  /** Every class of the model that waits has been passed over once more, but for the one that was served. */
  #passOver(served: Seen): void {
    const { model, serviceClass } = served.facts
    const waiting = new Set<string>()
    for (const { facts, running } of this.open.values())
      if (running === undefined && facts.model === model) waiting.add(facts.serviceClass.name)
    const passed = this.#passedOver.get(model) ?? new Map<string, number>()
    const next = new Map([...waiting].map((name) => [name, (passed.get(name) ?? 0) + 1]))
    next.set(serviceClass.name, 0)
    this.#passedOver.set(model, next)
  }

  // ---- what follows from it -------------------------------------------------------------------------------------

  get waiting(): number {
    let waiting = 0
    for (const { running } of this.open.values()) if (running === undefined) waiting++
    return waiting
  }

  /** Retries and first tries of the model in the last ten seconds. */
  spent(model: string): { firsts: number; retries: number } {
    return this.#spent(model, budgetWindowMs, budgetWindowMs)
  }

  /** Also by the scheduler's stricter count. */
  surelyHasLeave(seen: Seen): boolean {
    if (seen.tries === 0) return true
    const { firsts, retries } = this.#spent(
      seen.facts.model,
      budgetWindowMs - budgetSlackMs,
      budgetWindowMs + budgetSlackMs,
    )
    if (retries + 1 > 0.2 * firsts + 3) return false
    const { firsts: most } = this.#spent(seen.facts.model, budgetWindowMs, 0)
    return 0.2 * most < busyRetries || this.#fitsInSecond(seen.facts.model)
  }

  /** Is there so much traffic that a fifth holds for each second too, and would one retry more be above it? */
  isStorm(model: string): boolean {
    const { firsts: least } = this.#spent(model, budgetWindowMs - budgetSlackMs, 0)
    return 0.2 * least >= busyRetries && !this.#fitsInSecond(model)
  }

  /** One retry more in this second of the clock. */
  #fitsInSecond(model: string): boolean {
    const second = Math.floor(this.nowMs / 1_000)
    const inSecond = this.#triesOf(model).filter(({ atMs }) => Math.floor(atMs / 1_000) === second)
    const retries = inSecond.filter(({ kind }) => kind === 'retry').length
    const firsts = inSecond.length - retries
    return retries + 1 <= 0.2 * firsts
  }

  #spent(model: string, firstsMs: number, retriesMs: number): { firsts: number; retries: number } {
    const tries = this.#triesOf(model)
    while (tries.length > 0 && (tries[0]?.atMs as number) < this.nowMs - budgetWindowMs - budgetSlackMs) tries.shift()
    let firsts = 0
    let retries = 0
    for (const { atMs, kind } of tries) {
      if (kind === 'first' && atMs > this.nowMs - firstsMs) firsts++
      if (kind === 'retry' && atMs > this.nowMs - retriesMs) retries++
    }
    return { firsts, retries }
  }

  /** `anyway`: also beyond what is learned of its limit. */
  mayHave(seen: Seen, place: Place, anyway = false): boolean {
    if (seen.running !== undefined || seen.allowed?.has(place.endpoint.id) !== true || seen.failedAt.has(place))
      return false
    if (!place.isFree(this.nowMs) || this.nowMs > this.waitEndMs(seen)) return false
    if (place.saturation(this.nowMs) >= (seen.facts.serviceClass.saturationMax ?? Number.POSITIVE_INFINITY))
      return false
    if (!anyway && place.inFlight >= place.limit(this.nowMs)) return false
    if (place.missing(boundOf(seen), this.nowMs) > 0 || this.#isKept(seen, place)) return false
    return !this.isTooEarly(seen, place, true)
  }

  /** Are the tokens there kept for somebody who may come before it and for whom they do not suffice yet? */
  #isKept(seen: Seen, place: Place): boolean {
    if (!place.hasQuota) return false
    const standing = this.standing(seen.facts.model)
    return [...this.open.values()].some(
      (other) =>
        other.running === undefined &&
        other.facts.model === seen.facts.model &&
        !comesBefore(seen, other, standing, this.nowMs) &&
        other.allowed?.has(place.endpoint.id) === true &&
        place.missing(boundOf(other), this.nowMs) > 0,
    )
  }

  /**
   * Does the list bid it wait for a place before this one, one that neither has failed it nor asked to be left alone nor
   * is thought bad? `trials`: an ejected one counts, since it may be about to be tried.
   */
  isTooEarly(seen: Seen, place: Place, trials: boolean): boolean {
    if (this.#routing[place.endpoint.model] !== 'pinned') return false
    return [...this.current.values()].some(
      (earlier) =>
        earlier.endpoint.index < place.endpoint.index &&
        seen.allowed?.has(earlier.endpoint.id) === true &&
        !seen.failedAt.has(earlier) &&
        earlier.heldUntilMs <= this.nowMs &&
        earlier.missing(boundOf(seen), this.nowMs) <= 0 &&
        (trials || !this.#isKept(seen, earlier)) &&
        (earlier.isOpen || (trials && !earlier.down && earlier.trials === 0)),
    )
  }

  /** Does a list put a place before this one of which others' use of a quota says whether it is to be waited for? */
  isListOnQuota(seen: Seen, place: Place): boolean {
    if (this.#routing[place.endpoint.model] !== 'pinned') return false
    return [...this.current.values()].some(
      ({ endpoint, hasQuota }) =>
        hasQuota && endpoint.index <= place.endpoint.index && seen.allowed?.has(endpoint.id) === true,
    )
  }

  /**
   * No place is left to it that is open, or will let itself be asked before its wait is over. `surely`: also if others
   * have taken tokens since it was last looked at.
   */
  isCornered(seen: Seen, surely = false): boolean {
    const panic = this.isPanic(seen.facts.model)
    for (const place of this.current.values()) {
      if (seen.allowed?.has(place.endpoint.id) !== true || seen.failedAt.has(place)) continue
      const endMs = this.waitEndMs(seen)
      const hasTokens = place.missing(boundOf(seen), endMs) <= 0 || (surely && place.hasQuota)
      const willTakeIt = place.heldUntilMs <= endMs && hasTokens
      if ((place.isOpen || (panic && !place.down)) && willTakeIt) return false
    }
    return true
  }

  /** More than half of a model's endpoints are ejected: all are tried. */
  isPanic(model: string): boolean {
    const places = [...this.current.values()].filter(({ endpoint }) => endpoint.model === model)
    const ejected = places.filter(({ ejected }) => ejected).length
    return this.#routing[model] !== 'pinned' && ejected * 2 > places.length
  }

  /** What the classes of a model have at this moment: the order among those that wait follows from it. */
  standing(model: string): Standing {
    const inFlight = new Map<string, number>()
    let all = 0
    for (const { facts, running } of this.open.values()) {
      if (running === undefined || facts.model !== model) continue
      inFlight.set(facts.serviceClass.name, (inFlight.get(facts.serviceClass.name) ?? 0) + 1)
      all++
    }
    return { inFlight, all, passedOver: this.#passedOver.get(model) ?? new Map() }
  }

  waitEndMs({ facts, waitingFromMs, waitedMs }: Seen): number {
    return Math.min(facts.deadlineMs, waitingFromMs + facts.waitMsMax - waitedMs)
  }

  isLastCall(seen: Seen): boolean {
    // A rounding error is no time.
    return this.nowMs >= this.waitEndMs(seen) - lastCallMs - 1e-6
  }

  hasSomePlace(seen: Seen): boolean {
    const cornered = this.isCornered(seen, true)
    const panic = this.isPanic(seen.facts.model)
    for (const place of this.current.values())
      if ((place.isOpen || cornered || (panic && !place.down)) && this.mayHave(seen, place)) return true
    return false
  }

  #isCurrent(place: Place): boolean {
    return this.current.get(place.endpoint.id) === place
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
}

/** No mean of the world's service times is longer: a deadline that is nearer may be missed, and is not served first. */
const answerMsMax = 6_000
/** A class is given a twentieth of the tokens whatever its priority; one request may have as many as ten others. */
const passedOverMin = 2

/**
 * Does `a` for certain go before `b`? Below its floor before all others; else by priority, but for a class that has
 * been passed over for long; then who has been tried, by arrival; of one tenant the earlier deadline. Tenants take turns.
 */
export function comesBefore(a: Seen, b: Seen, standing: Standing, nowMs: number): boolean {
  if (a.tries === 0 && a.facts.deadlineMs < nowMs + answerMsMax) return false
  const [first, second] = [a.facts.serviceClass, b.facts.serviceClass]
  if (first.name !== second.name) {
    const isBelowFloor = ({ name, floor }: typeof first) =>
      floor > 0 && (standing.inFlight.get(name) ?? 0) < floor * (standing.all + 1)
    if (isBelowFloor(first) !== isBelowFloor(second)) return isBelowFloor(first)
    const mayBeDue = ({ name }: typeof first) => (standing.passedOver.get(name) ?? 0) >= passedOverMin
    if (mayBeDue(second)) return false
    if (first.priority !== second.priority) return first.priority > second.priority
    if (mayBeDue(first)) return false
  }
  if (a.tries > 0 || b.tries > 0) return a.tries > 0 && (b.tries === 0 || a.order < b.order)
  if (first.name !== second.name || a.facts.tenant !== b.facts.tenant) return false
  const [sooner, later] = [a.facts.deadlineMs, b.facts.deadlineMs]
  return sooner < later || (sooner === later && a.order < b.order)
}

/** What a vendor charges for it when it is sent. */
export function boundOf({ facts: { tokens } }: Seen): number {
  return tokens.input + tokens.output
}
