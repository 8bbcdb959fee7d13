import { FirstTokenLimit, RefusalLimit } from './concurrency.ts'
import type { Endpoint } from './endpoint.ts'
import type { EndpointHealth } from './events.ts'
import type { EndpointId } from './ids.ts'
import type { OpenRequest } from './open-request.ts'
import { mixedUsd } from './policies/scorers.ts'
import { type Charged, QuotaMirror, type QuotaWord } from './quota.ts'
import { Reading } from './reading.ts'
import { hashText } from './rendezvous.ts'

/** Linkerd's decay of its peak EWMA: half a minute after a bad moment little of it is left. */
const decayMs = 10_000
/** Linkerd's default round trip, taken until the first answer. */
const firstTokenMsDefault = 30
/** A failure counts as a first token that took this long, or twice what is known, so that it never looks fast. */
const failurePenaltyMs = 1_000
/** Envoy's outlier detection defaults: five failures in a row, 30 s times the ejections so far, 300 s at the most. */
const failuresToEject = 5
const ejectionMs = 30_000
const ejectionMsMax = 300_000
/** While requests wait in vain, an ejected endpoint is tried this much sooner than its time is over. */
const hurry = 30
/** A returning endpoint is given a tenth of its slots, and all of them half a minute later (promise P06). */
const slowStartMs = 30_000
const slowStartShare = 0.1
/** Above this share of what it can take, more is given to the next place. */
const spillsFrom = 0.85
const spillsUntil = 0.7
/** After this long without an ejection the earlier ones are forgotten. */
const forgetEjectionsMs = 600_000
/**
 * A first token takes as long as so many further ones: the median of TTFT / TPOT over the 3,658 measured points of
 * InferenceMAX (Apache-2.0), from which the demo clouds take their times too.
 */
const tokensPerFirstToken = 37

/** One endpoint as the explain call and the console see it. */
export interface EndpointSnapshot {
  readonly endpointId: EndpointId
  readonly health: EndpointHealth
  readonly inFlight: number
  readonly concurrencyMax: number
  /** Of them, how many may be in flight as far as is learned. */
  readonly concurrencyLearned: number
  readonly saturation: number
  /** Expected time to the first token, ms. */
  readonly firstTokenMs: number
  /** Until the half-open try, ms; 0 where it is not ejected. */
  readonly ejectedForMs: number
}

/**
 * Where one endpoint stands: how much it has to do, how soon it answers, whether it is thought good. Kept by id while
 * the set of endpoints changes around it.
 */
export class EndpointState {
  endpoint: Endpoint
  readonly hash: number
  readonly reading = new Reading()
  inFlight = 0
  /** US dollars for a million mixed tokens; infinite where no price is known. */
  mixedUsd = Number.POSITIVE_INFINITY
  /** When it was last given a request: the number of its model's tries then. */
  turn = 0
  /** Upper bounds of what is in flight, input and output. */
  tokensInFlight = 0
  /** Tries in flight that find out whether it is good again. */
  trials = 0
  /** A probe outside any request could not reach it. */
  down = false
  /** The vendor asked us to stay away until then; kept exactly. */
  heldUntilMs = Number.NEGATIVE_INFINITY
  /** Where a limit of the vendor's is known. */
  quota: QuotaMirror | undefined
  /** The first in order who waited for this place when there were not tokens enough for it: they are kept for it. */
  claimant: OpenRequest | undefined

  /** Tries in a row that gave no first byte, and answers in a row that broke after it. */
  #failuresInRow = 0
  #cutsInRow = 0
  #ejected = false
  #ejections = 0
  #ejectedAtMs = Number.NEGATIVE_INFINITY
  #ejectedUntilMs = Number.NEGATIVE_INFINITY
  /** While it is ejected: when a try for a request that waits in vain is due. */
  #hurriedTrialMs = Number.NEGATIVE_INFINITY
  /** And for one whose wait is at its end, which has nothing to lose. */
  #lastTrialMs = Number.NEGATIVE_INFINITY
  #slowStartFromMs = Number.NEGATIVE_INFINITY

  #concurrencyMax = 0
  #spills = false
  readonly #refusalLimit = new RefusalLimit()
  #firstTokenLimit: FirstTokenLimit | undefined
  /** From then on it has all its slots: what is asked of each place for each request is one comparison. */
  #limitedUntilMs = Number.NEGATIVE_INFINITY

  #firstTokenMs = firstTokenMsDefault
  #firstTokenAtMs = 0
  /** Attempts without a first byte yet, and the sum of their starts: their mean age costs nothing to know. */
  #unanswered = 0
  #unansweredStartsMs = 0

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint
    this.hash = hashText(endpoint.id)
    this.configure(endpoint, Number.NEGATIVE_INFINITY)
  }

  /** The endpoint has new settings; the place is the same. */
  configure(endpoint: Endpoint, nowMs: number): void {
    this.endpoint = endpoint
    this.#concurrencyMax = endpoint.concurrencyMax
    this.mixedUsd = endpoint.prices === undefined ? Number.POSITIVE_INFINITY : mixedUsd(endpoint.prices)
    const { tokensPerMinute, requestsPerMinute, rampFromTokensPerMinute } = endpoint
    if ((tokensPerMinute ?? requestsPerMinute ?? rampFromTokensPerMinute) !== undefined)
      this.quota ??= new QuotaMirror()
    this.quota?.configure(endpoint, nowMs)
    if (endpoint.noLoadFirstToken === undefined) this.#firstTokenLimit = undefined
    else this.#firstTokenLimit ??= new FirstTokenLimit(endpoint.concurrencyMax)
    this.#limitChanged()
  }

  // ---- what it may be given -------------------------------------------------------------------------------------

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

  /** Half-open: one request at a time finds out. `hurried`: others wait in vain, so it need not sit out its time. */
  isTrialDue(hurried: boolean, nowMs: number): boolean {
    if (!this.#ejected || this.down || this.trials > 0) return false
    return nowMs >= this.#ejectedUntilMs || (hurried && nowMs >= this.#hurriedTrialMs)
  }

  /** May one try it that is refused otherwise? Not sooner than the last such try took to fail. */
  isLastTrialDue(nowMs: number): boolean {
    return this.#ejected && !this.down && this.trials === 0 && nowMs >= this.#lastTrialMs
  }

  /** A slot is free, and the vendor lets itself be asked. */
  isFree(nowMs: number): boolean {
    return this.inFlight < this.#concurrencyMax && this.heldUntilMs <= nowMs
  }

  /** Does the vendor's quota, as far as it is known, allow a request of so many tokens at this moment? */
  fits(tokens: number, atMs: number): boolean {
    return this.quota === undefined || this.quota.fits(tokens, atMs)
  }

  /** Will it let itself be asked by then, if it is sent nothing until then? */
  letsAskBy(tokens: number, atMs: number): boolean {
    return this.heldUntilMs <= atMs && this.fits(tokens, atMs)
  }

  /** Until it lets itself be asked, ms. */
  askableInMs(tokens: number, nowMs: number): number {
    return Math.max(0, this.heldUntilMs - nowMs, this.quota?.waitMs(tokens, nowMs) ?? 0)
  }

  /** Requests that may be in flight as far as the vendor's refusals and its first tokens tell; one at the least. */
  limit(nowMs: number): number {
    if (nowMs >= this.#limitedUntilMs) return this.#concurrencyMax
    const limit = this.#refusalLimit.limit(this.#concurrencyMax, nowMs)
    if (this.#firstTokenLimit === undefined) return Math.floor(limit)
    return Math.floor(Math.min(limit, this.#firstTokenLimit.limit))
  }

  /** Slots that may be used now: all that are learned to be there, or the growing share of a slow start. */
  slots(nowMs: number): number {
    if (nowMs >= this.#limitedUntilMs) return this.#concurrencyMax
    const sinceMs = nowMs - this.#slowStartFromMs
    const limit = this.limit(nowMs)
    if (sinceMs >= slowStartMs) return limit
    const share = slowStartShare + (1 - slowStartShare) * (sinceMs / slowStartMs)
    return Math.max(1, Math.min(limit, Math.floor(this.#concurrencyMax * share)))
  }

  /**
   * How much of what it can take it has: 0 nothing, 1 all, more where that is exceeded. The scarcest of its slots as far
   * as they are learned, its KV cache, and its vendor's quota; all where the vendor has asked to be left alone.
   */
  saturation(nowMs: number): number {
    let saturation = this.inFlight / this.limit(nowMs)
    const { kvTokens } = this.endpoint
    if (kvTokens !== undefined) saturation = Math.max(saturation, this.tokensInFlight / kvTokens)
    if (this.quota !== undefined) saturation = Math.max(saturation, this.quota.used(nowMs))
    return this.heldUntilMs > nowMs ? Math.max(1, saturation) : saturation
  }

  /** Is it so saturated that more goes to the next? From there it has to fall by 15 points: no to and fro at the edge. */
  isSpilling(saturation: number): boolean {
    return this.#spills ? saturation > spillsUntil : saturation >= spillsFrom
  }

  /** To be called where the answer is acted upon. */
  noteSpilling(saturation: number): void {
    this.#spills = this.isSpilling(saturation)
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

  // ---- what it is seen to do ------------------------------------------------------------------------------------

  started(trial: boolean, nowMs: number, tokens = 0): void {
    this.inFlight++
    this.tokensInFlight += tokens
    if (trial) this.trials++
    this.#unanswered++
    this.#unansweredStartsMs += nowMs
  }

  ended(trial: boolean, tokens = 0): void {
    this.inFlight--
    this.tokensInFlight -= tokens
    if (trial) this.trials--
  }

  /** The first byte of a stream came. Gives true where that ended an ejection. */
  answered(startedMs: number, nowMs: number): boolean {
    this.endedUnanswered(startedMs)
    this.#learn(nowMs - startedMs, nowMs)
    return this.#works(startedMs, nowMs)
  }

  /** A whole answer came in one piece: its time per token says how soon the first came. */
  answeredWhole(startedMs: number, outputTokens: number, nowMs: number): boolean {
    this.#learn((nowMs - startedMs) / (1 + outputTokens / tokensPerFirstToken), nowMs)
    this.#cutsInRow = 0
    return this.#works(startedMs, nowMs)
  }

  /** A stream came to its end. */
  completed(): void {
    this.#cutsInRow = 0
  }

  /** It refused the request itself: an answer, though not one whose time says anything. */
  refused(startedMs: number, nowMs: number): boolean {
    return this.#works(startedMs, nowMs)
  }

  /** An attempt ended without a first byte. */
  endedUnanswered(startedMs: number): void {
    this.#unanswered--
    this.#unansweredStartsMs -= startedMs
  }

  /** The caller left before the first byte: it would have taken longer than this. */
  abandoned(startedMs: number, nowMs: number): void {
    const ageMs = nowMs - startedMs
    if (ageMs > this.#decayed(nowMs)) this.#learn(ageMs, nowMs)
  }

  /** A failure that says nothing of other requests. It is asked less often for a while, and not ejected. */
  disappointed(nowMs: number): void {
    this.#learn(Math.max(failurePenaltyMs, 2 * this.#decayed(nowMs)), nowMs)
  }

  /** A failure that speaks against the endpoint, before or after the first byte. Gives true where it is ejected by it. */
  failed(startedMs: number, answering: boolean, nowMs: number): boolean {
    this.disappointed(nowMs)
    if (answering) this.#cutsInRow++
    else this.#failuresInRow++
    if (this.#ejected) {
      // What was under way before the ejection is no new evidence, and a try out of turn does not prolong it.
      if (startedMs < this.#ejectedAtMs) return false
      this.#hurryFrom(startedMs, nowMs)
      if (nowMs < this.#ejectedUntilMs) return false
    } else if (this.#failuresInRow < failuresToEject && this.#cutsInRow < failuresToEject) return false
    if (nowMs - this.#ejectedAtMs > forgetEjectionsMs) this.#ejections = 0
    this.#ejections++
    this.#ejected = true
    this.#ejectedAtMs = nowMs
    this.#ejectedUntilMs = nowMs + this.#ejectionMs
    this.#hurryFrom(startedMs, nowMs)
    return true
  }

  /** How soon the first token of a stream came, after so many tokens of input: what there is to learn of the load. */
  firstTokenCame(inputTokens: number, startedMs: number, nowMs: number): void {
    if (this.#firstTokenLimit === undefined) return
    const { concurrencyMax, noLoadFirstToken } = this.endpoint
    if (noLoadFirstToken === undefined) return
    this.#firstTokenLimit.answered(nowMs - startedMs, noLoadFirstToken, inputTokens, this.inFlight, concurrencyMax)
  }

  /** The vendor found it too much at once. Its try is no longer in flight. */
  overloaded(startedMs: number, nowMs: number): void {
    this.#refusalLimit.refused(this.#concurrencyMax, this.inFlight + 1, startedMs, nowMs)
    this.#limitChanged()
  }

  /** The vendor says it is too much. Not the endpoint's fault, but neither a sign of speed. */
  held(forMs: number, nowMs: number): void {
    this.heldUntilMs = Math.max(this.heldUntilMs, nowMs + forMs)
    this.#learn(2 * this.#decayed(nowMs), nowMs)
  }

  /** The vendor says how much of its limits is left. `charged`: when the request was sent that this answers. */
  quotaSaid(word: QuotaWord, charged: Charged | undefined, nowMs: number): void {
    this.quota ??= new QuotaMirror()
    this.quota.said(word, charged ?? this.quota.charged, nowMs)
  }

  /** A probe reached it, or did not. Gives true where that changed something. */
  probed(reachable: boolean): boolean {
    if (this.down === !reachable) return false
    this.down = !reachable
    return true
  }

  snapshot(nowMs: number): EndpointSnapshot {
    return {
      endpointId: this.endpoint.id,
      health: this.health(nowMs),
      inFlight: this.inFlight,
      concurrencyMax: this.endpoint.concurrencyMax,
      concurrencyLearned: this.limit(nowMs),
      saturation: this.saturation(nowMs),
      firstTokenMs: this.firstTokenMs(nowMs),
      ejectedForMs: this.#ejected ? Math.max(0, this.#ejectedUntilMs - nowMs) : 0,
    }
  }

  get #ejectionMs(): number {
    return Math.min(ejectionMsMax, ejectionMs * this.#ejections)
  }

  /** A try that fails slowly costs its request dearly: the next out of turn comes no sooner than it took. */
  #hurryFrom(startedMs: number, nowMs: number): void {
    this.#lastTrialMs = nowMs + (nowMs - startedMs)
    this.#hurriedTrialMs = Math.max(this.#lastTrialMs, nowMs + this.#ejectionMs / hurry)
  }

  /** It answered. Ends an ejection unless the attempt began before it. */
  #works(startedMs: number, nowMs: number): boolean {
    this.#failuresInRow = 0
    if (!this.#ejected || startedMs < this.#ejectedAtMs) return false
    this.#ejected = false
    this.#cutsInRow = 0
    this.#slowStartFromMs = nowMs
    this.#limitChanged()
    return true
  }

  #limitChanged(): void {
    this.#limitedUntilMs =
      this.#firstTokenLimit === undefined
        ? Math.max(this.#slowStartFromMs + slowStartMs, this.#refusalLimit.allFromMs(this.#concurrencyMax))
        : Number.POSITIVE_INFINITY
  }

  #decayed(nowMs: number): number {
    // 1 / (1 + age/decay) in place of exp(-age/decay): the core has no exponential, and any falling weight will do.
    const weight = decayMs / (decayMs + nowMs - this.#firstTokenAtMs)
    return firstTokenMsDefault + (this.#firstTokenMs - firstTokenMsDefault) * weight
  }

  #learn(sampleMs: number, nowMs: number): void {
    const known = this.#decayed(nowMs)
    const ageMs = nowMs - this.#firstTokenAtMs
    // At least a tenth of the way, so that a burst within one millisecond teaches something too.
    const weight = Math.min(0.9, decayMs / (decayMs + ageMs))
    this.#firstTokenMs = sampleMs > known ? sampleMs : sampleMs + (known - sampleMs) * weight
    this.#firstTokenAtMs = nowMs
  }
}
