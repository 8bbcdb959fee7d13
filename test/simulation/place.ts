import type { Endpoint } from '../../src/core/endpoint.ts'

/** One vendor's place in one country, as the witness keeps its record: by the rules of promise P06. */
export class Place {
  endpoint: Endpoint
  inFlight = 0
  /** Since it has had a limit: what was sent before is not settled against it. */
  isCounted = false
  tokensInFlight = 0
  /** Attempts in flight that were dispatched while it was thought bad. */
  trials = 0
  heldUntilMs = Number.NEGATIVE_INFINITY
  down = false
  ejected = false
  ejectedAtMs = Number.NEGATIVE_INFINITY
  ejectedUntilMs = Number.NEGATIVE_INFINITY
  failuresInRow = 0
  cutsInRow = 0
  #ejections = 0
  #cutTo = Number.POSITIVE_INFINITY
  #cutAtMs = Number.NEGATIVE_INFINITY
  #tokens: Level | undefined
  #requests: Level | undefined

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint
    this.configure(endpoint, 0)
  }

  configure(endpoint: Endpoint, nowMs: number): void {
    this.endpoint = endpoint
    this.#tokens = under(this.#tokens, endpoint.tokensPerMinute, nowMs)
    this.#requests = under(this.#requests, endpoint.requestsPerMinute, nowMs)
    this.isCounted ||= this.hasQuota
  }

  // ---- what its refusals for too much at once leave of its slots -------------------------------------------------

  limit(nowMs: number): number {
    const { concurrencyMax } = this.endpoint
    const grown = this.#cutTo + (0.02 * concurrencyMax * (nowMs - this.#cutAtMs)) / 1_000
    return Math.floor(Number.isFinite(this.#cutTo) ? Math.min(concurrencyMax, grown) : concurrencyMax)
  }

  /** 0.7 of what was in flight, one at the least; what was sent before the last time says nothing new. */
  overloaded(startedMs: number, nowMs: number): void {
    if (startedMs < this.#cutAtMs) return
    const { concurrencyMax } = this.endpoint
    const grown = this.#cutTo + (0.02 * concurrencyMax * (nowMs - this.#cutAtMs)) / 1_000
    const before = Number.isFinite(this.#cutTo) ? Math.min(concurrencyMax, grown) : concurrencyMax
    this.#cutTo = Math.max(1, 0.7 * Math.min(before, this.inFlight + 1))
    this.#cutAtMs = nowMs
  }

  /** The scarcest of slots, KV cache and quota; all where the vendor asked to be left alone. */
  saturation(nowMs: number): number {
    const { kvTokens = Number.POSITIVE_INFINITY } = this.endpoint
    return Math.max(
      this.inFlight / this.limit(nowMs),
      this.tokensInFlight / kvTokens,
      usedOf(this.#tokens, nowMs),
      usedOf(this.#requests, nowMs),
      this.heldUntilMs > nowMs ? 1 : 0,
    )
  }

  // ---- the vendor's limits a minute: charged with the upper bound, settled on the truth -------------------------

  get hasQuota(): boolean {
    return this.#tokens !== undefined || this.#requests !== undefined
  }

  /** How much of what a request needs will be missing at this moment; none where it is zero or less. */
  missing(tokens: number, atMs: number): number {
    return Math.max(missingOf(this.#tokens, tokens, atMs), missingOf(this.#requests, 1, atMs))
  }

  charge(tokens: number, nowMs: number): void {
    add(this.#tokens, -tokens, nowMs)
    add(this.#requests, -1, nowMs)
  }

  settle(bound: number, used: number, nowMs: number): void {
    if (this.endpoint.keepsCharge !== true) add(this.#tokens, bound - used, nowMs)
  }

  takeBack(tokens: number, nowMs: number): void {
    add(this.#tokens, tokens, nowMs)
    add(this.#requests, 1, nowMs)
  }

  /** There was no room for it, and will be after this time. */
  refused(tokens: number, afterMs: number, nowMs: number): void {
    this.takeBack(tokens, nowMs)
    for (const [level, amount] of [[this.#tokens, tokens] as const, [this.#requests, 1] as const]) {
      if (level === undefined) continue
      const room = Math.min(amount, level.limit) - (level.limit * afterMs) / 60_000
      add(level, Math.min(0, room - at(level, nowMs)), nowMs)
    }
  }

  /** Since then time alone changes what it may be given. */
  get wasEjected(): boolean {
    return this.#ejections > 0
  }

  get wasHeld(): boolean {
    return this.heldUntilMs > Number.NEGATIVE_INFINITY
  }

  get isOpen(): boolean {
    return !this.down && !this.ejected
  }

  isFree(nowMs: number): boolean {
    return this.inFlight < this.endpoint.concurrencyMax && this.heldUntilMs <= nowMs
  }

  /** The vendor's Retry-After; a second where it does not say how long. */
  hold(forMs: number, nowMs: number): void {
    this.heldUntilMs = Math.max(this.heldUntilMs, nowMs + forMs)
  }

  /** Counts a failure, or an answer that broke. Gives true where it ejects: the fifth in a row, or a trial's after its time. */
  failed(startedMs: number, answering: boolean, nowMs: number): boolean {
    if (answering) this.cutsInRow++
    else this.failuresInRow++
    if (this.ejected) return startedMs >= this.ejectedAtMs && nowMs >= this.ejectedUntilMs
    return this.failuresInRow >= 5 || this.cutsInRow >= 5
  }

  /** 30 s times the ejections so far, 300 s at the most; ten minutes without one wipe the slate. */
  eject(nowMs: number): void {
    if (nowMs - this.ejectedAtMs > 600_000) this.#ejections = 0
    this.#ejections++
    this.ejected = true
    this.ejectedAtMs = nowMs
    this.ejectedUntilMs = nowMs + Math.min(300_000, 30_000 * this.#ejections)
  }
}

/** What was left of a limit a minute at some time. */
interface Level {
  readonly limit: number
  left: number
  atMs: number
}

function under(known: Level | undefined, limit: number | undefined, nowMs: number): Level | undefined {
  if (limit === undefined) return undefined
  return { limit, left: known === undefined ? limit : Math.min(limit, at(known, nowMs)), atMs: nowMs }
}

function at({ limit, left, atMs }: Level, nowMs: number): number {
  return Math.min(limit, left + (limit * Math.max(0, nowMs - atMs)) / 60_000)
}

function add(level: Level | undefined, amount: number, nowMs: number): void {
  if (level === undefined) return
  level.left = Math.min(level.limit, at(level, nowMs) + amount)
  level.atMs = nowMs
}

function missingOf(level: Level | undefined, amount: number, atMs: number): number {
  return level === undefined ? 0 : Math.min(amount, level.limit) - at(level, atMs)
}

function usedOf(level: Level | undefined, nowMs: number): number {
  return level === undefined ? 0 : 1 - at(level, nowMs) / level.limit
}
