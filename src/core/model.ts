import { Crowd, lookedAtMax } from './crowd.ts'
import type { RoutingPreset } from './endpoint.ts'
import type { EndpointState } from './endpoint-state.ts'
import { FairShares } from './fair-shares.ts'
import type { Fleet } from './fleet.ts'
import type { OpenRequest } from './open-request.ts'
import type { RoutingPolicy } from './policies/policy.ts'
import { presets } from './policies/presets.ts'
import { PrefixIndex } from './prefix-index.ts'
import type { Random } from './random.ts'
import { Reading } from './reading.ts'
import type { Eligibility } from './request.ts'
import { RetryBudget } from './retry-budget.ts'
import { ServiceTimes } from './service-times.ts'
import { WaitQueue } from './wait-queue.ts'

/** How its places stood is good enough for an estimate for so long, where there are very many of them. */
const outlookMs = 100
/** A place that cannot be reached is taken in again within this time of its return. */
const returnMs = 5_000

/** One model: the endpoints that serve it and which of them are good, who waits for them, how many retries are left. */
export class Model {
  readonly fleet: Fleet
  readonly random: Random
  readonly shares: FairShares
  readonly queue: WaitQueue<OpenRequest>
  readonly retries = new RetryBudget()
  /** Tries so far: by them the turns of its places are counted. */
  dispatched = 0
  readonly prefixes = new PrefixIndex()
  readonly reading = new Reading()
  readonly times = new ServiceTimes()
  #states: readonly EndpointState[] = []
  #policy: RoutingPolicy = presets.interactive
  #crowd: Crowd | undefined
  /** By index: what was counted of a place. */
  #counted = new Uint8Array(0)
  #down = 0
  /** Ejected, and of them those that can be reached. */
  #ejected = 0
  #ejectedUp = 0
  #panic = false
  #outlooks = new WeakMap<Eligibility, Outlook>()
  /** Slots of all places; of those that are down; of those that are ejected and can be reached. */
  #slots = 0
  #slotsDown = 0
  #slotsEjectedUp = 0

  constructor(fleet: Fleet, random: Random, leastShare?: number) {
    this.fleet = fleet
    this.random = random
    this.shares = new FairShares(leastShare)
    this.queue = new WaitQueue(this.shares)
  }

  /** Those of all endpoints that serve this model, in the order they are listed. */
  get states(): readonly EndpointState[] {
    return this.#states
  }

  get policy(): RoutingPolicy {
    return this.#policy
  }

  /** Very many of them; undefined where all can be looked at. */
  get crowd(): Crowd | undefined {
    return this.#crowd
  }

  setEndpoints(states: readonly EndpointState[], preset: RoutingPreset, nowMs: number): void {
    const all = this.fleet.states
    this.#states = states
    this.#policy = presets[preset]
    this.#outlooks = new WeakMap()
    this.#counted = new Uint8Array(all.length)
    this.#down = 0
    this.#ejected = 0
    this.#ejectedUp = 0
    this.#slots = 0
    this.#slotsDown = 0
    this.#slotsEjectedUp = 0
    for (const { endpoint } of states) this.#slots += endpoint.concurrencyMax
    for (const state of states) this.#count(state)
    this.#panic = this.#isPanic
    this.#crowd = states.length > lookedAtMax ? new Crowd(states, all) : undefined
    this.noteAll(nowMs)
  }

  /** A place of the model was ejected or returned, or a probe reached it or did not. */
  healthChanged(state: EndpointState, nowMs: number): void {
    this.#count(state)
    if (this.#panic === this.#isPanic) return this.note(state, nowMs)
    this.#panic = !this.#panic
    this.noteAll(nowMs)
  }

  /** Must be told of whatever happens at a place of the model. */
  note(state: EndpointState, nowMs: number): void {
    this.#crowd?.note(state, this.isGood(state), nowMs)
  }

  /** Time has passed. */
  noteAll(nowMs: number): void {
    this.#crowd?.noteAll((state) => this.isGood(state), nowMs)
  }

  #count(state: EndpointState): void {
    const { index, concurrencyMax } = state.endpoint
    const before = this.#counted[index] as number
    const now = (state.down ? isDown : 0) | (state.isEjected ? isEjected : 0)
    this.#counted[index] = now
    const down = countOf(now, isDown) - countOf(before, isDown)
    this.#down += down
    this.#ejected += countOf(now, isEjected) - countOf(before, isEjected)
    const ejectedUp = (now === isEjected ? 1 : 0) - (before === isEjected ? 1 : 0)
    this.#ejectedUp += ejectedUp
    this.#slotsDown += down * concurrencyMax
    this.#slotsEjectedUp += ejectedUp * concurrencyMax
  }

  /** More than half: the trouble is likely not theirs, so all are tried. A list in order says itself what is next. */
  get #isPanic(): boolean {
    return this.#policy.kind !== 'in-order' && this.#ejected * 2 > this.#states.length
  }

  get #good(): number {
    return this.#states.length - this.#down - (this.#panic ? 0 : this.#ejectedUp)
  }

  /** Of all good places together. */
  get slots(): number {
    return this.#slots - this.#slotsDown - (this.#panic ? 0 : this.#slotsEjectedUp)
  }

  /** Is it served like any other: open, or ejected together with too many? */
  isGood(state: EndpointState): boolean {
    return state.isOpen || (this.#panic && !state.down)
  }

  get isAllGood(): boolean {
    return this.#good === this.#states.length
  }

  /** A first try needs no leave. */
  hasLeave(request: OpenRequest, nowMs: number): boolean {
    return request.tries === 0 || this.retries.canRetry(nowMs)
  }

  /** Is there a place, good or bad, that may serve it now or before its wait ends? */
  mayRecover(request: OpenRequest): boolean {
    const { eligible } = request
    for (const index of eligible.indices) if (mayBecomeFree(request, this.fleet.at(index))) return true
    return false
  }

  /** Is there an open one? */
  hasOpen(request: OpenRequest): boolean {
    for (const state of this.goodOnes(request.eligible)) if (state.isOpen && mayBecomeFree(request, state)) return true
    return false
  }

  /** Is there no good one? Then a bad one is tried: the last place of a request is never ejected for it. */
  isCornered(request: OpenRequest): boolean {
    if (this.#good === 0) return true
    for (const state of this.goodOnes(request.eligible)) if (mayBecomeFree(request, state)) return false
    return true
  }

  *goodOnes(eligible: Eligibility): Generator<EndpointState> {
    if (this.#crowd !== undefined) yield* this.#crowd.good(eligible)
    else
      for (const index of eligible.indices) {
        const state = this.fleet.at(index)
        if (this.isGood(state)) yield state
      }
  }

  /** All places, of very many those with room; good ones first. */
  *withRoom(): Generator<EndpointState> {
    if (this.#crowd !== undefined) return yield* this.#crowd.everyRoomy()
    for (const state of this.#states) if (this.isGood(state)) yield state
    if (this.isAllGood) return
    for (const state of this.#states) if (!this.isGood(state)) yield state
  }

  /** The same of the eligible ones; of very many bad ones a few. */
  *withRoomFor(eligible: Eligibility): Generator<EndpointState> {
    if (this.#crowd !== undefined) {
      const from = Math.floor(this.random.next() * this.fleet.states.length)
      yield* this.#crowd.roomy(eligible, from)
      return yield* this.#crowd.spare(eligible, from)
    }
    yield* this.goodOnes(eligible)
    yield* this.badOnes(eligible)
  }

  /** Those thought bad that are worth a look when nothing good is left; of very many, a few with room. */
  *badOnes(eligible: Eligibility): Generator<EndpointState> {
    if (this.#crowd !== undefined)
      yield* this.#crowd.spare(eligible, Math.floor(this.random.next() * this.fleet.states.length))
    else
      for (const index of eligible.indices) {
        const state = this.fleet.at(index)
        if (!this.isGood(state)) yield state
      }
  }

  /** Until the first of the eligible places lets itself be asked for so many tokens, ms; 0 where one does now. */
  askableInMs(eligible: Eligibility, tokens: number, nowMs: number): number {
    const { heldUntilMs, isMetered } = this.outlook(eligible, nowMs)
    let soonestMs = isMetered ? Number.POSITIVE_INFINITY : Math.max(0, heldUntilMs - nowMs)
    if (isMetered)
      for (const index of eligible.indices)
        soonestMs = Math.min(soonestMs, this.fleet.at(index).askableInMs(tokens, nowMs))
    return Number.isFinite(soonestMs) ? soonestMs : 0
  }

  /**
   * What is asked of the eligible places for what they can take: requests in flight there, and those of no smaller
   * priority that wait for them, by the slots of the places that may be asked. Above 1: one that comes now waits.
   * Infinite where none may be asked.
   */
  pressure(eligible: Eligibility, priority: number, nowMs: number): number {
    if (!this.fleet.fits(eligible)) return 0
    let inFlight = 0
    let slots = 0
    for (const index of eligible.indices) {
      const state = this.fleet.at(index)
      if (state.heldUntilMs > nowMs || !this.isGood(state)) continue
      inFlight += state.inFlight
      slots += state.slots(nowMs)
    }
    return slots === 0 ? Number.POSITIVE_INFINITY : (inFlight + this.queue.lengthFrom(eligible, priority)) / slots
  }

  /** How the eligible places stand. Of very many it may be a moment old. The word must be of the version in force. */
  outlook(eligible: Eligibility, nowMs: number): Outlook {
    if (this.#crowd === undefined) return this.#look(eligible, nowMs)
    const known = this.#outlooks.get(eligible)
    if (known !== undefined && nowMs - known.atMs < outlookMs) return known
    const outlook = this.#look(eligible, nowMs)
    this.#outlooks.set(eligible, outlook)
    return outlook
  }

  #look(eligible: Eligibility, nowMs: number): Outlook {
    let slots = 0
    let hasRoom = false
    let isAnyOpen = false
    let isMetered = true
    let soonestMs = Number.POSITIVE_INFINITY
    let heldUntilMs = Number.POSITIVE_INFINITY
    for (const index of eligible.indices) {
      const state = this.fleet.at(index)
      if (state.isOpen) isAnyOpen = true
      if (state.quota === undefined) isMetered = false
      heldUntilMs = Math.min(heldUntilMs, state.heldUntilMs)
      if (state.heldUntilMs <= nowMs && (this.isGood(state) || state.isTrialDue(false, nowMs))) {
        slots += state.endpoint.concurrencyMax
        if (state.inFlight < state.slots(nowMs)) hasRoom = true
      } else {
        const untilMs = Math.max(state.heldUntilMs, state.isEjected ? state.ejectedUntilMs : nowMs + returnMs)
        soonestMs = Math.min(soonestMs, untilMs)
      }
    }
    return { atMs: nowMs, slots, hasRoom, isAnyOpen, isMetered, soonestMs, heldUntilMs }
  }
}

/** How the places that a request may use stand together. */
export interface Outlook {
  readonly atMs: number
  /** Of those that can be asked now. */
  readonly slots: number
  readonly hasRoom: boolean
  readonly isAnyOpen: boolean
  /** All have a quota that is mirrored. */
  readonly isMetered: boolean
  /** When the first of those that cannot be asked now can; infinite where there is none. */
  readonly soonestMs: number
  /** Until when all of them have asked to be left alone. */
  readonly heldUntilMs: number
}

const isDown = 1
const isEjected = 2

function countOf(counted: number, what: number): number {
  return (counted & what) === 0 ? 0 : 1
}

/** Before its wait ends; `state` is one that it may use. */
function mayBecomeFree({ waitUntilMs, failedAt, tokens }: OpenRequest, state: EndpointState): boolean {
  return state.letsAskBy(tokens, waitUntilMs) && !failedAt.includes(state)
}
