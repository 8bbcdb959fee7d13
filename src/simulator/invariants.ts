import type { Endpoint } from '../core/endpoint.ts'
import type { Attempt } from '../core/events.ts'
import type { Failure } from '../core/failure.ts'
import { isEligible, type RequestFacts } from '../core/request.ts'

/** A rule that did not hold. */
export interface Violation {
  readonly rule: string
  readonly detail: string
}

const shownMax = 20

/**
 * What must hold in every run, checked as it goes: every request ends exactly once, nothing outside its eligibility,
 * above a limit, past a deadline or inside a vendor's Retry-After, never too many tries and none after the first byte,
 * no answer before it could have come, and Little's law.
 */
export class Invariants {
  readonly violations: Violation[] = []
  readonly #attemptsMax: number
  readonly #inFlight: Int32Array
  readonly #heldUntilMs: Float64Array
  /** By slot: the request that is or was open there. */
  readonly #open: OpenFacts[] = []
  readonly #warmUpMs: number
  #arrived = 0
  #ended = 0
  #stayedMs = 0

  constructor(endpoints: readonly Endpoint[], attemptsMax: number, warmUpMs: number) {
    this.#warmUpMs = warmUpMs
    this.#attemptsMax = attemptsMax
    this.#inFlight = new Int32Array(endpoints.length)
    this.#heldUntilMs = new Float64Array(endpoints.length).fill(Number.NEGATIVE_INFINITY)
  }

  arrived(slot: number, facts: RequestFacts): void {
    this.#arrived++
    const open = this.#open[slot]
    if (open === undefined) {
      this.#open[slot] = { isOpen: true, facts, endpoint: -1, attempts: 0, answering: false }
      return
    }
    if (open.isOpen) this.#broken('conservation', `request ${facts.id} came while one had its place`)
    open.isOpen = true
    open.facts = facts
    open.endpoint = -1
    open.attempts = 0
    open.answering = false
  }

  dispatched(slot: number, { endpoint, number }: Attempt, nowMs: number): void {
    const open = this.#open[slot]
    if (!open?.isOpen) return this.#broken('conservation', `a request was dispatched that is not open (${slot})`)
    const { facts } = open
    // Made where it is wanted: a number put into words takes as long as all else here.
    const at = () => `request ${facts.id} at ${endpoint.id}, ${nowMs} ms`
    if (open.endpoint >= 0) this.#broken('one try at a time', at())
    if (open.answering) this.#broken('no try after the first byte', at())
    if (!isEligible(facts.eligible, endpoint.index)) this.#broken('eligible places only', at())
    if (nowMs > facts.deadlineMs) this.#broken('nothing past its deadline', at())
    if (number !== ++open.attempts || number > this.#attemptsMax)
      this.#broken('tries are bounded', `${at()}, try ${number}`)
    if (nowMs < (this.#heldUntilMs[endpoint.index] as number)) this.#broken('Retry-After is kept', at())
    open.endpoint = endpoint.index
    const inFlight = (this.#inFlight[endpoint.index] as number) + 1
    this.#inFlight[endpoint.index] = inFlight
    if (inFlight > endpoint.concurrencyMax) this.#broken('in-flight within the limit', `${at()}: ${inFlight}`)
  }

  answering(slot: number, afterMs: number): void {
    const open = this.#open[slot]
    if (!open?.isOpen || open.answering) return this.#broken('one first byte', `slot ${slot}`)
    if (!(afterMs >= 0))
      this.#broken('causality', `request ${open.facts.id} was answered ${-afterMs} ms before it was asked`)
    open.answering = true
  }

  /** A try failed before its first byte. */
  failed(slot: number, failure: Failure, nowMs: number): void {
    const open = this.#open[slot]
    if (!open?.isOpen || open.endpoint < 0)
      return this.#broken('conservation', `a try failed that did not run (${slot})`)
    if (failure.kind === 'rate-limited' && failure.retryAfterMs !== undefined)
      this.#heldUntilMs[open.endpoint] = Math.max(
        this.#heldUntilMs[open.endpoint] as number,
        nowMs + failure.retryAfterMs,
      )
    this.#leave(open)
  }

  requestEnded(slot: number): void {
    const open = this.#open[slot]
    if (!open?.isOpen) return this.#broken('every request ends once', `slot ${slot} ended and was not open`)
    if (open.endpoint >= 0) this.#leave(open)
    open.isOpen = false
    this.#ended++
  }

  /** `open`: requests that are open at the end of the run. */
  ended(open: number): void {
    if (this.#arrived !== this.#ended + open)
      this.#broken('conservation', `${this.#arrived} came, ${this.#ended} ended, ${open} are open`)
  }

  /** A request was at a replica from then until now. */
  stayed(fromMs: number, nowMs: number): void {
    if (nowMs > this.#warmUpMs) this.#stayedMs += nowMs - Math.max(fromMs, this.#warmUpMs)
  }

  /**
   * Little's law (1961): requests in flight summed over time are the times that requests stayed, summed over them. The
   * first is what utilisation is told from. Both are sums of many rounded numbers, so not the same to the last digit.
   */
  countedInFlight(inFlightMs: number): void {
    if (Math.abs(inFlightMs - this.#stayedMs) > 1 + inFlightMs * 1e-6)
      this.#broken('Little', `${inFlightMs} ms counted in flight, ${this.#stayedMs} ms stayed`)
  }

  #leave(open: OpenFacts): void {
    this.#inFlight[open.endpoint] = (this.#inFlight[open.endpoint] as number) - 1
    open.endpoint = -1
  }

  #broken(rule: string, detail: string): void {
    if (this.violations.length < shownMax) this.violations.push({ rule, detail })
  }
}

interface OpenFacts {
  isOpen: boolean
  facts: RequestFacts
  /** Where it runs; -1 while it does not. */
  endpoint: number
  attempts: number
  answering: boolean
}
