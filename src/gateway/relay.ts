import type { RateLimiter, Reservation } from '../adapters/limits/rate-limiter.ts'
import { costNanoUsd, maxCostNanoUsd } from '../adapters/price-book/cost.ts'
import type { AnswerHead, AnswerProgress, AnswerSink, ProviderExchange } from '../adapters/providers/provider.ts'
import type { JournalRecord, SettleState, TokenSource } from '../adapters/storage/journal-record.ts'
import type { Journal } from '../adapters/storage/storage.ts'
import type { Clock } from '../core/clock.ts'
import { type ErrorCode, errorCodes } from '../core/errors.ts'
import type { Attempt, Rejection } from '../core/events.ts'
import type { Failure } from '../core/failure.ts'
import type { FlatMap } from '../core/flat-map.ts'
import type { RequestId } from '../core/ids.ts'
import { type Eligibility, eligibilityOf, isEligible, type RequestFacts, type TokenCount } from '../core/request.ts'
import { timesOf } from '../core/service-class.ts'
import { SpillwayError } from '../core/spillway-error.ts'
import { answerHeaders, rateLimitHeaders } from './answer-headers.ts'
import { brownoutHeader } from './brownout.ts'
import type { Dispatchable, Dispatcher } from './dispatcher.ts'
import type { InputEstimate } from './input-estimate.ts'
import { MarkWindow } from './mark-window.ts'
import type { Observer } from './observer.ts'
import type { Access, Plane, ServedEndpoint } from './plane.ts'
import { errorEvent, refuse, retryCountOf } from './refusal.ts'
import { errorReason } from './refusal-reason.ts'
import { exceededError, rejectionError } from './refusal-words.ts'
import { admitRecord, attemptRecord, outcomeRecord, refuseRecord } from './relay-records.ts'
import type { RelayRequest } from './relay-request.ts'
import { bodyFor } from './request-body.ts'

/** What all relays share. */
export interface RelayHouse {
  readonly clock: Clock
  readonly dispatcher: Dispatcher
  readonly journal: Journal
  readonly limiter: RateLimiter
  readonly observer: Observer
  readonly estimate: InputEstimate
  plane(): Plane
  readonly open: FlatMap<RequestId, Relay>
}

/** One try as the relay follows it. */
interface Try {
  readonly attempt: Attempt
  readonly endpoint: ServedEndpoint
  readonly startedMs: number
  exchange: ProviderExchange | undefined
}

/**
 * Carries one request from its body to the last byte of its answer: reserves, waits for the scheduler's word, makes
 * each try durable before it is made, passes bytes on, settles. What the caller saw as whole is settled on disk before
 * its last byte leaves.
 */
export class Relay implements Dispatchable, AnswerSink {
  readonly facts: RequestFacts
  readonly #house: RelayHouse
  readonly #request: RelayRequest
  #reservation: (Reservation & { kind: 'granted' }) | undefined
  #admitted = false
  #attempts = 0
  #try: Try | undefined
  #head: AnswerHead | undefined
  /** Bytes have gone, or are about to go, to the caller: no other try. */
  #answering = false
  #ended = false
  /** Time spent waiting for a slot or for vendors: not our overhead. */
  #awayMs = 0
  #awaySinceMs: number | undefined
  #firstByteMs: number | undefined
  #overheadMs: number | undefined
  /** What must not go out before the journal has synced. */
  #held: Uint8Array[] = []
  #settling = false
  readonly #marks: MarkWindow
  /** Output that the reservation covers. */
  #heldOutputTokens: number

  constructor(house: RelayHouse, request: RelayRequest) {
    this.#house = house
    this.#request = request
    const { body, access, caller, arrivedMs, terms } = request
    const { limits } = house.plane().config
    const outputTokens =
      (body.outputTokensMax ?? (request.operation === 'embeddings' ? 0 : access.model.outputTokensDefault)) *
      body.choices
    const times = timesOf(terms, limits.queueMs, limits.firstByteMs)
    const longerMs = Math.max(0, request.waitMs - times.waitMsMax)
    this.facts = {
      id: request.id,
      tenant: caller.tenant.id,
      serviceClass: terms.serviceClass,
      model: body.model,
      arrivedAtMs: arrivedMs,
      waitMsMax: times.waitMsMax + longerMs,
      deadlineMs: arrivedMs + times.deadlineMs + longerMs,
      tokens: { input: body.inputTokensMax, cachedInput: 0, output: outputTokens },
      eligible: access.eligible,
      affinity: `${caller.tenant.id}/${body.affinity}`,
    }
    this.#heldOutputTokens = outputTokens
    this.#marks = new MarkWindow((outputTokens) => this.#writeMark(outputTokens))
  }

  get keyId(): string {
    return this.#request.caller.key.id
  }

  /** Reserves and asks the scheduler, or refuses where a limit is exceeded. */
  start(): void {
    const { house, request } = { house: this.#house, request: this.#request }
    const { caller, access } = request
    const { tokens } = this.facts
    const reservation = house.limiter.reserve(
      caller.budgets,
      { tokens: tokens.input + tokens.output, nanoUsd: maxCostNanoUsd(tokens, access.pricesMax) },
      house.clock.nowMs(),
      house.clock.wallMs(),
    )
    if (reservation.kind === 'exceeded') return this.#refuse(exceededError(reservation), reservation.remaining)
    this.#reservation = reservation
    house.open.set(request.id, this)
    request.exchange.gone = () => this.#gone()
    this.#away()
    house.dispatcher.arrive(this)
  }

  // ---- the scheduler's word -------------------------------------------------------------------------------------

  dispatched(attempt: Attempt): void {
    this.#back()
    const plane = this.#house.plane()
    const endpoint = plane.endpoint(attempt.endpoint.id)
    if (endpoint?.provider === undefined) {
      this.#try = undefined
      this.#house.dispatcher.tell({ kind: 'attempt-failed', attemptId: attempt.id, failure: { kind: 'unreachable' } })
      return
    }
    this.#attempts = attempt.number
    const current: Try = { attempt, endpoint, startedMs: this.#house.clock.nowMs(), exchange: undefined }
    this.#try = current
    this.#head = undefined
    const records: JournalRecord[] = []
    if (!this.#admitted) records.push(this.#admitRecord(endpoint))
    this.#admitted = true
    records.push(attemptRecord(attempt, endpoint, this.#house.clock.wallMs()))
    this.#house.journal.append(records, (error) => {
      if (this.#ended || this.#settling || this.#try !== current) return
      if (error !== undefined) this.#storageFailed()
      else this.#send(current)
    })
  }

  rejected(rejection: Rejection): void {
    this.#back()
    if (this.#ended || this.#settling) return
    const { access, caller, terms } = this.#request
    const waitOf = (model: string, { eligible }: Access) =>
      this.#house.dispatcher.expectedWaitMs(model, eligible, terms.serviceClass, caller.tenant.id)
    const { model } = this.facts
    const reason = errorReason(rejection.reason, this.#house.plane(), caller, access, terms.serviceClass, model, waitOf)
    this.#refuse(rejectionError(rejection, model, reason))
  }

  eligibleNow(plane: Plane): Eligibility {
    const access = plane.access(this.#request.caller, this.facts.model)
    return access?.locationAllowed === true ? access.eligible : eligibilityOf([], plane.endpoints.length, plane.version)
  }

  aborted(): void {
    this.#try?.exchange?.abort()
  }

  #send(current: Try): void {
    const { body, operation, terms } = this.#request
    // The law once more, at the last moment: a register change may have come while the journal was syncing.
    const plane = this.#house.plane()
    const { endpoint } = current
    const placed = plane.endpoint(endpoint.id)
    const provider = placed?.provider
    if (
      placed === undefined ||
      provider === undefined ||
      !samePlace(placed, endpoint) ||
      !isEligible(this.eligibleNow(plane), placed.index)
    ) {
      this.#tryFailed({ kind: 'withdrawn' })
      return
    }
    const pieces = bodyFor(body, endpoint.upstreamModel, terms.serviceClass.tier)
    let bodyBytes = 0
    for (const piece of pieces) bodyBytes += piece.length
    this.#house.observer.attemptStarted(this.#request, endpoint, current.attempt.number)
    this.#away()
    current.exchange = provider.send(
      {
        requestId: this.#request.id,
        operation,
        upstreamModel: endpoint.upstreamModel,
        body: pieces,
        bodyBytes,
        stream: body.stream,
        hideUsage: body.stream && !body.includesUsage,
      },
      this,
    )
  }

  // ---- the vendor's answer --------------------------------------------------------------------------------------

  onHead(head: AnswerHead): void {
    this.#head = head
    if (this.#request.body.stream) this.#back()
  }

  onData(bytes: Uint8Array, progress: AnswerProgress): boolean {
    if (this.#ended) return true
    if (!this.#request.body.stream) {
      // A whole answer waits for its settlement: it can still be tried elsewhere if it proves cut.
      this.#held.push(bytes)
      return true
    }
    if (!this.#answering) this.#beginAnswer()
    const covered = this.#marks.covers(progress.outputTokensCounted)
    if (covered && this.#held.length === 0) return this.#request.exchange.write(bytes)
    this.#held.push(bytes)
    return false
  }

  onEnd(lastBytes: Uint8Array, progress: AnswerProgress): void {
    const current = this.#try
    if (this.#ended || current === undefined) return
    if (!this.#request.body.stream) {
      this.#back()
      this.#answering = true
    } else if (!this.#answering) this.#beginAnswer()
    const tokens = progress.usage ?? this.#countedTokens(progress)
    if (progress.usage !== undefined) this.#house.estimate.learn(this.#request.body.bodyBytes, progress.usage.input)
    const attemptId = current.attempt.id
    // Of a stream it was told with its first event.
    const quota = this.#request.body.stream ? undefined : this.#head?.quota
    this.#house.dispatcher.tell({ kind: 'attempt-completed', attemptId, tokens, ...(quota && { quota }) })
    this.#house.observer.attemptEnded(this.#request.id, current.endpoint, current.attempt.number, undefined)
    this.#held.push(lastBytes)
    this.#settle('ok', progress.usage === undefined ? 'counted' : 'upstream', tokens, 200, undefined, () =>
      this.#finishAnswer(),
    )
  }

  onRefused(status: number, body: Uint8Array): void {
    const current = this.#try
    if (this.#ended || current === undefined) return
    this.#back()
    this.#house.dispatcher.tell({ kind: 'attempt-refused', attemptId: current.attempt.id })
    this.#house.observer.attemptEnded(this.#request.id, current.endpoint, current.attempt.number, 'refused')
    const { exchange } = this.#request
    this.#settle('failed', 'upstream', noTokens, status, 'refused', () => {
      if (exchange.closed) return
      const headers = this.#headers(current, 'application/json')
      headers.push('x-should-retry', 'false', 'content-length', String(body.length))
      exchange.head(status, headers)
      exchange.end(body)
    })
  }

  onFailure(failure: Failure, progress: AnswerProgress): void {
    if (this.#ended || this.#try === undefined) return
    this.#back()
    if (this.#answering)
      this.#cut(
        'upstream_stream_cut',
        'the vendor broke the answer off; what came so far is not whole',
        failure,
        progress,
      )
    else this.#tryFailed(failure, progress.usage)
  }

  /** Open answers that outlast the drain, the journal or their key end here, visibly. */
  giveUp(code: ErrorCode, message: string): void {
    if (this.#ended) return
    const current = this.#try
    if (this.#answering && current !== undefined && !this.#settling) {
      current.exchange?.abort()
      this.#cut(code, message, undefined, this.#lastProgress())
      return
    }
    if (this.#settling) return
    this.#house.dispatcher.tell({ kind: 'request-cancelled', requestId: this.#request.id })
    this.#refuse(new SpillwayError(code, message))
  }

  // ---- inside ---------------------------------------------------------------------------------------------------

  #beginAnswer(): void {
    const current = this.#try
    if (current === undefined) return
    this.#answering = true
    const quota = this.#head?.quota
    this.#house.dispatcher.tell({
      kind: 'attempt-answering',
      attemptId: current.attempt.id,
      ...(quota && { quota }),
    })
    const { exchange } = this.#request
    exchange.releaseBody()
    this.#request.body.body = noBytes
    exchange.drained = () => current.exchange?.resume()
    const headers = this.#headers(current, 'text/event-stream; charset=utf-8')
    headers.push('cache-control', 'no-cache', 'x-accel-buffering', 'no')
    exchange.head(this.#head?.status ?? 200, headers)
    this.#house.observer.streamOpened()
  }

  /** All that was held goes out, then the end. Runs when the settlement is on disk. */
  #finishAnswer(): void {
    const { exchange, body } = this.#request
    if (exchange.closed) return
    const bytes = this.#takeHeld()
    if (body.stream) {
      exchange.end(bytes)
      return
    }
    const current = this.#try
    if (current === undefined) return
    const headers = this.#headers(current, 'application/json')
    headers.push('content-length', String(bytes.length))
    exchange.head(this.#head?.status ?? 200, headers)
    exchange.end(bytes)
  }

  /** A stream that ends early after its first byte: one error event, never `[DONE]`. `failure`: the vendor's, if it was. */
  #cut(code: ErrorCode, message: string, failure: Failure | undefined, progress: AnswerProgress): void {
    const { attempt, endpoint } = this.#try as Try
    const { dispatcher, observer } = this.#house
    if (failure === undefined) dispatcher.tell({ kind: 'request-cancelled', requestId: this.#request.id })
    else dispatcher.tell({ kind: 'attempt-failed', attemptId: attempt.id, failure })
    observer.attemptEnded(this.#request.id, endpoint, attempt.number, failure ?? 'cancelled')
    const { usage } = progress
    this.#settle('partial', usage ? 'upstream' : 'counted', usage ?? this.#countedTokens(progress), 200, code, () => {
      if (this.#request.exchange.closed) return
      this.#held.push(errorEvent(code, message))
      this.#request.exchange.end(this.#takeHeld())
    })
  }

  /** A try without an answer: written down, then the scheduler's turn. */
  #tryFailed(failure: Failure, tokens?: TokenCount): void {
    const current = this.#try as Try
    this.#try = undefined
    this.#held = []
    this.#house.journal.append([outcomeRecord(current.attempt, failure, tokens, this.#house.clock.wallMs())])
    this.#house.observer.attemptEnded(this.#request.id, current.endpoint, current.attempt.number, failure)
    this.#away()
    this.#house.dispatcher.tell({ kind: 'attempt-failed', attemptId: current.attempt.id, failure })
  }

  /** The caller has left: the vendor is told at once, what was used so far is settled. */
  #gone(): void {
    if (this.#ended || this.#settling) return
    const current = this.#try
    const answering = this.#answering
    const progress = this.#lastProgress()
    this.#house.dispatcher.tell({ kind: 'request-cancelled', requestId: this.#request.id })
    current?.exchange?.abort()
    if (current !== undefined)
      this.#house.observer.attemptEnded(this.#request.id, current.endpoint, current.attempt.number, 'cancelled')
    if (!this.#admitted) {
      this.#end()
      this.#house.journal.append([refuseRecord(this.#request, 499, 'client_left', this.#house.clock.wallMs())])
      this.#reservation?.settle(nothing, this.#house.clock.nowMs())
      this.#report('cancelled', undefined, undefined, 0, 499, 'client_left')
      return
    }
    // The vendor has read the prompt once the try was sent; it may bill that.
    const sent = current?.exchange !== undefined
    const tokens = answering || sent ? this.#countedTokens(progress) : noTokens
    this.#settle('cancelled', 'counted', tokens, 499, 'client_left', () => {})
  }

  #storageFailed(): void {
    this.#house.dispatcher.tell({ kind: 'request-cancelled', requestId: this.#request.id })
    this.#refuse(
      new SpillwayError('storage_unavailable', 'requests cannot be recorded at this moment; try again shortly'),
    )
  }

  /**
   * Ends a request with a refusal, writing it down: as settled if a try was made, which is on disk before the caller
   * hears of it, else as refused.
   */
  #refuse(error: SpillwayError, remaining = this.#reservation?.remaining): void {
    const { exchange, id } = this.#request
    const { journal, clock } = this.#house
    const { status } = errorCodes[error.code]
    this.#settling = true
    this.#reservation?.settle(nothing, clock.nowMs())
    const answer = () => {
      this.#end()
      this.#report(this.#admitted ? 'failed' : 'refused', undefined, undefined, 0, status, error.code)
      const attempts = ['x-spillway-attempts', String(this.#attempts)]
      const extra = [...attempts, ...rateLimitHeaders(remaining), ...brownoutHeader(this.#request.brownout)]
      refuse(exchange, error, id, extra)
    }
    if (this.#admitted)
      journal.append([this.#settleRecord('failed', 'upstream', noTokens, 0, status, error.code)], answer)
    else {
      journal.append([refuseRecord(this.#request, status, error.code, clock.wallMs())])
      answer()
    }
  }

  #settle(
    state: SettleState,
    source: TokenSource,
    tokens: TokenCount,
    status: number,
    code: string | undefined,
    durable: () => void,
  ): void {
    const prices = this.#try?.endpoint.prices
    const nanoUsd = prices === undefined ? 0 : costNanoUsd(tokens, prices)
    this.#settling = true
    const record = this.#settleRecord(state, source, tokens, nanoUsd, status, code ?? null)
    this.#reservation?.settle({ tokens: tokens.input + tokens.output, nanoUsd }, this.#house.clock.nowMs())
    this.#house.journal.append([record], (error) => {
      this.#end()
      if (this.#answering && this.#request.body.stream) this.#house.observer.streamClosed()
      this.#report(state, tokens, source, nanoUsd, status, code)
      // Not recorded: the caller must not take the answer for whole.
      if (error !== undefined) this.#request.exchange.destroy()
      else durable()
      this.#letGo()
    })
  }

  /**
   * Nothing is done with it any more, but the memory it is in may not be looked through for a while, and what hangs on
   * it would be carried over as if it lived: a third of all that a busy gateway's collections copied.
   */
  #letGo(): void {
    const { exchange, body } = this.#request
    this.#try = undefined
    this.#head = undefined
    this.#reservation = undefined
    this.#held = []
    exchange.gone = undefined
    exchange.drained = undefined
    body.body = noBytes
  }

  #end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#house.open.delete(this.#request.id)
    this.#house.dispatcher.forget(this)
  }

  #writeMark(outputTokens: number): void {
    const current = this.#try as Try
    if (!this.#holdFor(outputTokens)) {
      this.giveUp('insufficient_quota', 'the budget for this month is used up; the answer is not whole')
      return
    }
    const record: JournalRecord = { kind: 'mark', id: this.#request.id, n: current.attempt.number, outputTokens }
    this.#house.journal.append([record], (error) => {
      if (this.#ended || this.#settling) return
      if (error !== undefined) {
        this.giveUp('storage_unavailable', 'the answer could not be recorded any further')
        return
      }
      if (!this.#marks.written(outputTokens) || this.#held.length === 0) return
      if (this.#request.exchange.write(this.#takeHeld())) current.exchange?.resume()
    })
  }

  /** An answer without a maximum may outgrow what was held for it: what is to be handed over is held first. */
  #holdFor(outputTokens: number): boolean {
    const { body, access } = this.#request
    const more = outputTokens - this.#heldOutputTokens
    if (body.outputTokensMax !== undefined || more <= 0 || access.pricesMax === undefined) return true
    const nanoUsd = maxCostNanoUsd({ input: 0, output: more }, access.pricesMax)
    if (this.#reservation?.extend(nanoUsd) !== true) return false
    this.#heldOutputTokens = outputTokens
    return true
  }

  #lastProgress(): AnswerProgress {
    return { outputTokensCounted: this.#marks.tokensSeen, usage: undefined }
  }

  #countedTokens(progress: AnswerProgress): TokenCount {
    const { body } = this.#request
    const input = this.#house.estimate.tokens(body.bodyBytes, body.inputTokensMax)
    return { input, cachedInput: 0, output: progress.outputTokensCounted }
  }

  #takeHeld(): Uint8Array {
    const held = this.#held
    this.#held = []
    return held.length === 1 ? (held[0] as Uint8Array) : Buffer.concat(held)
  }

  #away(): void {
    this.#awaySinceMs ??= this.#house.clock.nowMs()
  }

  #back(): void {
    if (this.#awaySinceMs === undefined) return
    this.#awayMs += this.#house.clock.nowMs() - this.#awaySinceMs
    this.#awaySinceMs = undefined
  }

  #headers(current: Try, contentType: string): string[] {
    this.#firstByteMs = this.#house.clock.nowMs() - this.#request.arrivedMs
    this.#overheadMs = Math.max(0, this.#firstByteMs - this.#awayMs)
    const headers = answerHeaders(
      contentType,
      this.#request.id,
      current.endpoint,
      this.#attempts,
      this.#request.terms.serviceClass.tier,
      this.#overheadMs,
      this.#reservation?.remaining,
      this.#head?.headers,
    )
    headers.push(...brownoutHeader(this.#request.brownout))
    return headers
  }

  #report(
    state: SettleState | 'refused',
    tokens: TokenCount | undefined,
    source: TokenSource | undefined,
    nanoUsd: number,
    status: number,
    code: string | undefined,
  ): void {
    const { id, operation, caller, body, arrivedMs, exchange } = this.#request
    const summary = {
      requestId: id,
      operation,
      tenant: caller.tenant.id,
      plan: caller.tenant.plan,
      keyId: caller.key.id,
      model: this.facts.model,
      stream: body.stream,
      status,
      code,
      state,
      attempts: this.#attempts,
      endpoint: this.#try?.endpoint,
      tokens,
      source,
      nanoUsd,
      durationMs: this.#house.clock.nowMs() - arrivedMs,
      firstByteMs: this.#firstByteMs,
      overheadMs: this.#overheadMs,
      retryCount: retryCountOf(exchange),
      brownout: this.#request.brownout,
    }
    this.#house.observer.finished(summary, this.#request)
  }

  #admitRecord(endpoint: ServedEndpoint): JournalRecord {
    const { body } = this.#request
    return admitRecord(
      this.#request,
      this.facts,
      endpoint,
      this.#house.estimate.tokens(body.bodyBytes, body.inputTokensMax),
      this.#house.plane().version,
      this.#house.clock.wallMs(),
    )
  }

  #settleRecord(
    state: SettleState,
    source: TokenSource,
    tokens: TokenCount,
    nanoUsd: number,
    status: number,
    code: string | null,
  ): JournalRecord {
    return {
      kind: 'settle',
      id: this.#request.id,
      n: this.#attempts,
      wallMs: this.#house.clock.wallMs(),
      state,
      source,
      tokens,
      nanoUsd,
      status,
      code,
      firstByteMs: this.#firstByteMs === undefined ? null : Math.round(this.#firstByteMs),
      durationMs: Math.round(this.#house.clock.nowMs() - this.#request.arrivedMs),
    }
  }
}

/**
 * Is what was decided, and written down, for one still true of the other? A reload may have put another vendor, country
 * or model under the same name; a new key or limit makes a new provider for the same place.
 */
function samePlace(a: ServedEndpoint, b: ServedEndpoint): boolean {
  return (
    a === b ||
    (a.country === b.country &&
      a.subProcessor === b.subProcessor &&
      a.providerName === b.providerName &&
      a.upstreamModel === b.upstreamModel)
  )
}

const noTokens: TokenCount = { input: 0, cachedInput: 0, output: 0 }
const noBytes = Buffer.alloc(0)
const nothing = { tokens: 0, nanoUsd: 0 }
