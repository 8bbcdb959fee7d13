import type { Endpoint } from './endpoint.ts'
import type { EndpointHealth } from './events.ts'
import type { EndpointId } from './ids.ts'
import { hashText } from './rendezvous.ts'

/** Linkerd's decay of its peak EWMA: half a minute after a bad moment little of it is left. */
const decayMs = 10_000
/** Linkerd's default round trip, taken until the first answer. */
const firstTokenMsDefault = 30
/** Envoy's outlier detection defaults: five failures in a row, 30 s times the ejections so far, 300 s at the most. */
const failuresToEject = 5
const ejectionMs = 30_000
const ejectionMsMax = 300_000
/** A returning endpoint is given a tenth of its slots, and all of them half a minute later (promise P06). */
const slowStartMs = 30_000
const slowStartShare = 0.1
/** After this long without an ejection the earlier ones are forgotten. */
const forgetEjectionsMs = 600_000

/** One endpoint as the explain call and the console see it. */
export interface EndpointSnapshot {
  readonly endpointId: EndpointId
  readonly health: EndpointHealth
  readonly inFlight: number
  readonly concurrencyMax: number
  /** Expected time to the first token, ms. */
  readonly firstTokenMs: number
  /** Until the half-open try, ms; 0 where it is not ejected. */
  readonly ejectedForMs: number
}

/** What one candidate would mean for a request right now. */
export interface Candidate extends EndpointSnapshot {
  /** Why it would not be tried now; absent for those that would. */
  readonly removedBy?: string
  readonly score?: number
}

/**
 * A first token takes as long as so many further ones: the median of TTFT / TPOT over the 3,658 measured points of
 * InferenceMAX (Apache-2.0), from which the demo clouds take their times too.
 */
const tokensPerFirstToken = 37

/** Where one endpoint stands. Kept by id while the set of endpoints changes around it. */
export class EndpointState {
  endpoint: Endpoint
  inFlight = 0
  /** Tries in flight that find out whether it is good again. */
  probes = 0
  readonly hash: number
  /** `down`: a probe outside any request could not reach it. */
  down = false
  #failuresInRow = 0
  #ejections = 0
  #ejectedAtMs = Number.NEGATIVE_INFINITY
  #ejectedUntilMs = Number.NEGATIVE_INFINITY
  #ejected = false
  #slowStartFromMs = Number.NEGATIVE_INFINITY
  /** The vendor asked us to stay away until then; kept exactly. */
  heldUntilMs = Number.NEGATIVE_INFINITY
  #firstTokenMs = firstTokenMsDefault
  #firstTokenAtMs = Number.NEGATIVE_INFINITY
  /** Attempts without a first byte yet, and the sum of their starts: their mean age costs nothing to know. */
  #unanswered = 0
  #unansweredStartsMs = 0

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint
    this.hash = hashText(endpoint.id)
  }

  health(nowMs: number): EndpointHealth {
    if (this.down) return 'down'
    if (!this.#ejected) return 'open'
    return nowMs >= this.#ejectedUntilMs ? 'probing' : 'ejected'
  }

  get isOpen(): boolean {
    return !this.down && !this.#ejected
  }

  get isEjected(): boolean {
    return this.#ejected
  }

  /** When the half-open try is due; infinite where it is not ejected. */
  get ejectedUntilMs(): number {
    return this.#ejected ? this.#ejectedUntilMs : Number.POSITIVE_INFINITY
  }

  /** Slots that may be used now: all, or the growing share of a slow start. */
  slots(nowMs: number): number {
    const sinceMs = nowMs - this.#slowStartFromMs
    const { concurrencyMax } = this.endpoint
    if (sinceMs >= slowStartMs) return concurrencyMax
    const share = slowStartShare + (1 - slowStartShare) * (sinceMs / slowStartMs)
    return Math.max(1, Math.floor(concurrencyMax * share))
  }

  /**
   * Expected time to the first token, ms: a peak EWMA. A slower answer counts at once, a faster one gradually, and
   * an estimate that is not renewed sinks back to the default, so that a slow endpoint is looked at again.
   * Attempts that wait for their first byte count with their age: a stall shows before it ends.
   */
  firstTokenMs(nowMs: number): number {
    const known = this.#decayed(nowMs)
    if (this.#unanswered === 0) return known
    return Math.max(known, nowMs - this.#unansweredStartsMs / this.#unanswered)
  }

  started(nowMs: number, probe: boolean): void {
    this.inFlight++
    if (probe) this.probes++
    this.#unanswered++
    this.#unansweredStartsMs += nowMs
  }

  ended(probe: boolean): void {
    this.inFlight--
    if (probe) this.probes--
  }

  /** The first byte came. Gives true where that ended an ejection. */
  answered(startedMs: number, nowMs: number): boolean {
    this.#unanswered--
    this.#unansweredStartsMs -= startedMs
    this.#learn(nowMs - startedMs, nowMs)
    return this.succeeded(nowMs)
  }

  /** An attempt ended without a first byte having been told apart (`answered` was not called). */
  endedUnanswered(startedMs: number): void {
    this.#unanswered--
    this.#unansweredStartsMs -= startedMs
  }

  /** A whole answer came in one piece: its time per token says how soon the first came. */
  answeredWhole(startedMs: number, outputTokens: number, nowMs: number): boolean {
    this.#learn((nowMs - startedMs) / (1 + outputTokens / tokensPerFirstToken), nowMs)
    return this.succeeded(nowMs)
  }

  succeeded(nowMs: number): boolean {
    this.#failuresInRow = 0
    const returned = this.#ejected
    if (returned) {
      this.#ejected = false
      this.#slowStartFromMs = nowMs
    }
    return returned
  }

  /** A failure that speaks against the endpoint. Gives true where it is ejected by it. */
  failed(nowMs: number): boolean {
    // A failure in 10 ms must not look like a fast endpoint: it counts as a slow one.
    this.#learn(Math.max(1_000, 2 * this.#decayed(nowMs)), nowMs)
    this.#failuresInRow++
    const probing = this.#ejected && nowMs >= this.#ejectedUntilMs
    if (!probing && (this.#ejected || this.#failuresInRow < failuresToEject)) return false
    if (nowMs - this.#ejectedAtMs > forgetEjectionsMs) this.#ejections = 0
    this.#ejections++
    this.#ejected = true
    this.#ejectedAtMs = nowMs
    this.#ejectedUntilMs = nowMs + Math.min(ejectionMsMax, ejectionMs * this.#ejections)
    this.#failuresInRow = 0
    return true
  }

  /** The vendor says it is too much. Not the endpoint's fault, but neither a sign of speed. */
  held(forMs: number, nowMs: number): void {
    this.heldUntilMs = Math.max(this.heldUntilMs, nowMs + forMs)
    this.#learn(2 * this.#decayed(nowMs), nowMs)
  }

  /** A probe reached it, or did not. Gives true where that changed something. */
  probed(reachable: boolean, nowMs: number): boolean {
    if (this.down === !reachable) return false
    this.down = !reachable
    if (reachable) this.#slowStartFromMs = this.#slowStartFromMs > 0 ? nowMs : this.#slowStartFromMs
    return true
  }

  snapshot(nowMs: number): EndpointSnapshot {
    return {
      endpointId: this.endpoint.id,
      health: this.health(nowMs),
      inFlight: this.inFlight,
      concurrencyMax: this.endpoint.concurrencyMax,
      firstTokenMs: this.firstTokenMs(nowMs),
      ejectedForMs: this.#ejected ? Math.max(0, this.#ejectedUntilMs - nowMs) : 0,
    }
  }

  #decayed(nowMs: number): number {
    const ageMs = nowMs - this.#firstTokenAtMs
    if (ageMs <= 0) return this.#firstTokenMs
    // 1 / (1 + age/decay) in place of exp(-age/decay): the core has no exponential, and any falling weight will do.
    const weight = decayMs / (decayMs + ageMs)
    return firstTokenMsDefault + (this.#firstTokenMs - firstTokenMsDefault) * weight
  }

  #learn(sampleMs: number, nowMs: number): void {
    const known = this.#decayed(nowMs)
    const ageMs = Math.max(0, nowMs - this.#firstTokenAtMs)
    // At least a tenth of the way, so that a burst within one millisecond teaches something too.
    const weight = Math.min(0.9, decayMs / (decayMs + ageMs))
    this.#firstTokenMs = sampleMs > known ? sampleMs : sampleMs + (known - sampleMs) * weight
    this.#firstTokenAtMs = nowMs
  }
}
