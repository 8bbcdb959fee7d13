import { Bucket } from './bucket.ts'
import { RampLimit } from './ramp.ts'

/** What an operator knows of the limits by which a vendor admits requests to one place. Absent ones are not known. */
export interface QuotaSetting {
  readonly tokensPerMinute?: number
  readonly requestsPerMinute?: number
  /** The vendor wants traffic to grow slowly, and takes so many tokens a minute before that. */
  readonly rampFromTokensPerMinute?: number
  /**
   * The vendor charges a request's upper bound and gives nothing back for what it did not use, as Azure does; else what
   * is left over comes back with the request's end, as with Bedrock and Vertex.
   */
  readonly keepsCharge?: boolean
}

/** What a vendor has said of one of its limits. */
export interface LimitWord {
  readonly remaining: number
  readonly limit?: number
  /** Until all of it is there again, ms. */
  readonly resetMs?: number
}

/** What a vendor has said of its limits, as they stood when it took, or refused, the request that it answers. */
export interface QuotaWord {
  readonly tokens?: LimitWord
  readonly requests?: LimitWord
}

/** All that was ever charged to a mirror. */
export interface Charged {
  readonly tokens: number
  readonly requests: number
}

/** Resets are rounded, by some to seconds: one that is sooner, and of a smaller share of the limit, tells no pace. */
const tellingMs = 60_000
const tellingShare = 0.01

/**
 * Our copy of the buckets by which a vendor admits requests to one place, so that its 429 is foreseen and not found
 * out. A request is charged its upper bound when it is sent, as vendors do. Whatever the vendor says of its own buckets
 * is truer than the copy.
 */
export class QuotaMirror {
  #setting: QuotaSetting = {}
  #tokens: Bucket | undefined
  #requests: Bucket | undefined
  #ramp: RampLimit | undefined
  #tokensCharged = 0
  #requestsCharged = 0

  /** A limit that is not set is mirrored from when the vendor first names it. */
  configure(setting: QuotaSetting, nowMs: number): void {
    const { tokensPerMinute, requestsPerMinute } = this.#setting
    if (setting.tokensPerMinute !== tokensPerMinute)
      this.#tokens = resized(this.#tokens, setting.tokensPerMinute, nowMs)
    if (setting.requestsPerMinute !== requestsPerMinute)
      this.#requests = resized(this.#requests, setting.requestsPerMinute, nowMs)
    const { rampFromTokensPerMinute: from } = setting
    if (from !== this.#ramp?.from) this.#ramp = from === undefined ? undefined : new RampLimit(from, nowMs)
    this.#setting = setting
  }

  get isKnown(): boolean {
    return this.#tokens !== undefined || this.#requests !== undefined
  }

  /** Would the vendor take a request of so many tokens at this moment, if it is sent nothing until then? */
  fits(tokens: number, atMs: number): boolean {
    if (this.#tokens !== undefined && !this.#tokens.fits(tokens, atMs)) return false
    if (this.#ramp !== undefined && !this.#ramp.fits(tokens, atMs)) return false
    return this.#requests === undefined || this.#requests.fits(1, atMs)
  }

  /** Until it would, ms. */
  waitMs(tokens: number, nowMs: number): number {
    return Math.max(
      this.#tokens?.waitMs(tokens, nowMs) ?? 0,
      this.#requests?.waitMs(1, nowMs) ?? 0,
      this.#ramp?.waitMs(tokens, nowMs) ?? 0,
    )
  }

  /** The share of the scarcer limit that is used up: 0 none, 1 all, above 1 where more was used than there was. */
  used(nowMs: number): number {
    return Math.max(usedOf(this.#tokens, nowMs), usedOf(this.#requests, nowMs), this.#ramp?.used(nowMs) ?? 0)
  }

  get charged(): Charged {
    return { tokens: this.#tokensCharged, requests: this.#requestsCharged }
  }

  /** A request is sent. Gives what has been charged up to then, itself included. */
  charge(tokens: number, nowMs: number): Charged {
    this.#tokens?.take(tokens, nowMs)
    this.#requests?.take(1, nowMs)
    this.#ramp?.take(tokens, nowMs)
    this.#tokensCharged += tokens
    this.#requestsCharged++
    return this.charged
  }

  /** It has ended, and these are the tokens that it used. */
  settle(chargedTokens: number, usedTokens: number, nowMs: number): void {
    this.#ramp?.take(usedTokens - chargedTokens, nowMs)
    if (this.#setting.keepsCharge !== true) this.#tokens?.take(usedTokens - chargedTokens, nowMs)
  }

  /** It never got to where a vendor counts. */
  takeBack(chargedTokens: number, nowMs: number): void {
    this.#tokens?.take(-chargedTokens, nowMs)
    this.#ramp?.take(-chargedTokens, nowMs)
    this.#requests?.take(-1, nowMs)
  }

  /** The vendor found no room for it, and says when there will be: there is no more now than grows to that by then. */
  refused(chargedTokens: number, roomAfterMs: number, nowMs: number): void {
    this.takeBack(chargedTokens, nowMs)
    lower(this.#tokens, chargedTokens, roomAfterMs, nowMs)
    lower(this.#requests, 1, roomAfterMs, nowMs)
  }

  /** Takes the vendor's word, which knows nothing of what was charged after `then`. */
  said({ tokens, requests }: QuotaWord, then: Charged, nowMs: number): void {
    const { tokensPerMinute, requestsPerMinute } = this.#setting
    if (tokens !== undefined)
      this.#tokens = corrected(this.#tokens, tokens, tokensPerMinute, this.#tokensCharged - then.tokens, nowMs)
    if (requests !== undefined)
      this.#requests = corrected(
        this.#requests,
        requests,
        requestsPerMinute,
        this.#requestsCharged - then.requests,
        nowMs,
      )
  }
}

function resized(bucket: Bucket | undefined, limit: number | undefined, nowMs: number): Bucket | undefined {
  if (limit === undefined) return undefined
  if (bucket === undefined) return new Bucket(limit, nowMs)
  bucket.resize(limit, nowMs)
  return bucket
}

function usedOf(bucket: Bucket | undefined, nowMs: number): number {
  return bucket === undefined ? 0 : 1 - bucket.level(nowMs) / bucket.limit
}

function lower(bucket: Bucket | undefined, amount: number, afterMs: number, nowMs: number): void {
  if (bucket === undefined) return
  const grown = (bucket.limit * afterMs) / bucket.fillMs
  bucket.set(Math.min(bucket.level(nowMs), Math.min(amount, bucket.limit) - grown), nowMs)
}

/** An operator's limit may be lower than the vendor's: a part of it that is kept for others. */
function corrected(
  bucket: Bucket | undefined,
  { remaining, limit, resetMs }: LimitWord,
  setLimit: number | undefined,
  chargedSince: number,
  nowMs: number,
): Bucket | undefined {
  // Vendors do not count below nothing.
  const left = Math.min(remaining - chargedSince, remaining > 0 ? remaining : (bucket?.level(nowMs) ?? 0))
  if (limit === undefined || limit <= 0) {
    bucket?.set(left, nowMs)
    return bucket
  }
  if (bucket !== undefined && setLimit !== undefined && setLimit < limit) {
    bucket.set(Math.min(bucket.level(nowMs), left), nowMs)
    return bucket
  }
  const mirrored = bucket ?? new Bucket(limit, nowMs)
  const gone = limit - remaining
  const tells = resetMs !== undefined && (resetMs >= tellingMs || gone >= tellingShare * limit)
  if (tells && resetMs > 0 && gone > 0) mirrored.fillMs = (resetMs * limit) / gone
  if (mirrored.limit !== limit) mirrored.resize(limit, nowMs)
  mirrored.set(left, nowMs)
  return mirrored
}
