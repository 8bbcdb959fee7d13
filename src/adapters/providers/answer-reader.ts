import type { Clock } from '../../core/clock.ts'
import type { Failure } from '../../core/failure.ts'
import type { QuotaWord } from '../../core/quota.ts'
import { GrowingBytes } from '../http1/growing-bytes.ts'
import { errorIn, hasNoChoices, parsedObject, wholeAnswer } from './answer-json.ts'
import { AnswerMeter } from './answer-meter.ts'
import type { CountCalibration } from './count-calibration.ts'
import { type EventKind, EventScanner, eventData } from './event-scanner.ts'
import { failureOfError, failureOfStatus, statusOfError } from './failures.ts'
import type { AnswerHead, AnswerSink, ProviderCall, ProviderExchange } from './provider.ts'
import { quotaOf } from './quota-headers.ts'
import { normalisedRefusal, refusalOf } from './refusal-body.ts'
import type { HttpExchange, HttpSink } from './transport.ts'
import type { Watchdog, Watched } from './watchdog.ts'

const refusalBytesMax = 1024 * 1024
/** Of what is no answer: comments before the first event, and what follows the last. */
const asideBytesMax = 64 * 1024
/** One event holds a token or a few; the largest known are images in base64, near 4 MiB. */
const eventBytesMax = 8 * 1024 * 1024
/** What follows the end of an answer that is over is waited for so long, so that the connection can be used again. */
const drainedMsMax = 1_000
const noBytes = Buffer.alloc(0)

/** Vendors' headers that say something to the caller and nothing of our account. */
const passedHeaders = ['openai-processing-ms', 'openai-version', 'x-ms-region', 'apim-request-id'] as const

export interface ReaderOptions {
  readonly call: ProviderCall
  readonly sink: AnswerSink
  readonly limits: AnswerLimits
  readonly watchdog: Watchdog
  /** Of this model at this vendor. */
  readonly calibration: CountCalibration
  /** The vendor leaves thoughts out of its count of the output. */
  readonly thoughtsBeside: boolean
  readonly clock: Clock
  /** The vendor answers that it does not serve us, or not this model: the operator's trouble. */
  readonly onNotServed: (failure: Failure) => void
}

export interface AnswerLimits {
  /** From the call to the head of a whole answer, or to the first event of a stream. */
  readonly firstByteMs: number
  /** Between bytes, after that. */
  readonly streamIdleMs: number
  readonly answerBytesMax: number
}

/**
 * Turns what comes over the wire into an answer, a refusal or a failure. Nothing passes that is not plainly an answer
 * of the OpenAI dialect; bytes of an answer are handed on as they came, except for whole events that are not the
 * caller's: the usage chunk that only we asked for, and annotations that come before any content.
 */
export class AnswerReader implements HttpSink, ProviderExchange, Watched {
  silenceMsMax: number
  silentMs = 0
  slot = -1
  readonly #options: ReaderOptions
  readonly #scanner: EventScanner
  #exchange: HttpExchange | undefined
  #mode: 'head' | 'stream' | 'json' | 'refused' | 'over' = 'head'
  #aborted = false
  #status = 0
  #contentType = ''
  readonly #headers: (readonly [string, string])[] = []
  #quota: QuotaWord | undefined
  #headTold = false
  /** Of a whole answer: what came so far. Of a stream: comments that came before its first event. */
  readonly #body: GrowingBytes
  #drainedBytes = 0
  /** Where in `#held` what was not handed on yet begins and ends; `#from` is -1 where nothing waits. */
  #held: Buffer | undefined
  #from = -1
  #heldEnd = 0
  readonly #meter: AnswerMeter
  #goOn = true

  constructor(options: ReaderOptions) {
    this.#options = options
    this.#body = new GrowingBytes(options.call.stream ? asideBytesMax : options.limits.answerBytesMax)
    this.#scanner = new EventScanner(
      (kind, bytes, start, end) => this.#onEvent(kind, bytes, start, end),
      Math.min(eventBytesMax, options.limits.answerBytesMax),
    )
    this.silenceMsMax = options.limits.firstByteMs
    this.#meter = new AnswerMeter(options.calibration, options.thoughtsBeside)
    options.watchdog.watch(this)
  }

  /** The wire under it; given once it is there. */
  started(exchange: HttpExchange): void {
    if (this.#mode === 'over') exchange.abort()
    this.#exchange = exchange
  }

  /** Nothing was sent: our own credentials could not be had. */
  unauthorized(): void {
    this.#fail({ kind: 'unauthorized' })
  }

  get isOver(): boolean {
    return this.#mode === 'over'
  }

  // ---- the caller's side ----------------------------------------------------------------------------------------

  abort(): void {
    if (this.#mode === 'json') this.#body.free()
    this.#mode = 'over'
    this.#aborted = true
    this.#close()
  }

  resume(): void {
    if (this.#mode === 'stream') this.#waitFor(this.#options.limits.streamIdleMs)
    this.#exchange?.resume()
  }

  // ---- the watchdog's side --------------------------------------------------------------------------------------

  fellSilent(): void {
    if (this.#mode === 'over') this.#close()
    else this.#fail({ kind: 'timed-out' })
  }

  // ---- the wire's side ------------------------------------------------------------------------------------------

  onHead(status: number, headers: Readonly<Record<string, string | string[] | undefined>>): void {
    const { call, limits, clock } = this.#options
    this.#status = status
    this.#contentType = String(headers['content-type'] ?? '')
    const encoding = String(headers['content-encoding'] ?? 'identity')
    if (encoding !== 'identity' && encoding !== '') return this.#broken()
    if (status < 200 || status >= 300) {
      const failure = failureOfStatus(status, headers, clock.wallMs())
      if (failure?.kind === 'unauthorized' || failure?.kind === 'missing-model') this.#options.onNotServed(failure)
      if (failure !== undefined) return this.#fail(failure, true)
      this.#mode = 'refused'
      return this.#waitFor(limits.streamIdleMs)
    }
    const wanted = call.stream ? eventStreamType : jsonType
    if (!wanted.test(this.#contentType)) return this.#broken()
    for (const name of passedHeaders) {
      const value = headers[name]
      if (typeof value === 'string' && plainText.test(value)) this.#headers.push([name, value])
    }
    this.#quota = quotaOf(headers)
    this.#mode = call.stream ? 'stream' : 'json'
    if (call.stream) return
    if (Number(headers['content-length']) > limits.answerBytesMax) return this.#broken()
    this.#waitFor(limits.streamIdleMs)
  }

  onData(chunk: Buffer): boolean {
    switch (this.#mode) {
      case 'stream':
        return this.#onStreamData(chunk)
      case 'json':
      case 'refused': {
        this.silentMs = 0
        const bytesMax = this.#mode === 'json' ? this.#options.limits.answerBytesMax : refusalBytesMax
        if (this.#body.length + chunk.length > bytesMax) this.#broken()
        else this.#body.append(chunk)
        return true
      }
      default:
        this.#drainedBytes += chunk.length
        if (this.#drainedBytes > asideBytesMax) this.#close()
        return true
    }
  }

  onEnd(): void {
    this.#options.watchdog.release(this)
    switch (this.#mode) {
      case 'json':
        return this.#onJson(this.#body.bytes)
      case 'refused':
        return this.#refuse(this.#status, normalisedRefusal(this.#status, this.#body.bytes))
      case 'stream':
        this.#scanner.end()
        // Without [DONE] an answer is cut, however orderly the connection closed.
        return this.#fail({ kind: 'reset', status: this.#status })
      case 'head':
        return this.#broken()
      case 'over':
        return
    }
  }

  onError(error: NodeJS.ErrnoException): void {
    this.#options.watchdog.release(this)
    this.#fail(failureOfError(error))
  }

  // ---- streams --------------------------------------------------------------------------------------------------

  #onStreamData(read: Buffer): boolean {
    // A copy, which is handed on: the memory it was read into is read into again.
    const chunk = Buffer.from(read)
    if (this.#headTold) this.silentMs = 0
    this.#goOn = true
    this.#from = -1
    this.#held = undefined
    if (!this.#scanner.push(chunk) && this.#mode === 'stream') {
      this.#release()
      this.#broken()
    }
    this.#release()
    if (this.#goOn || this.#mode !== 'stream') return true
    // The caller is slow, not the vendor.
    this.silenceMsMax = Number.POSITIVE_INFINITY
    return false
  }

  #onEvent(kind: EventKind, bytes: Buffer, start: number, end: number): void {
    if (this.#mode !== 'stream') return
    if (kind === 'done') return this.#done(bytes, start, end)
    if (kind === 'error' || (kind === 'data' && !this.#passes(bytes, start, end))) {
      // Out of the stream: what came before it goes first.
      this.#release()
      if (kind === 'error') {
        const event = parsedObject(eventData(bytes, start, end))
        this.#failInside(errorIn(event) ?? event ?? {})
      }
      return
    }
    if (kind === 'data') this.#tellHead()
    this.#held = bytes
    if (this.#from < 0) this.#from = start
    this.#heldEnd = end
    if (!this.#headTold && this.#body.length + end - this.#from > asideBytesMax) this.#broken()
  }

  /** Meters an event. False where it is not the caller's to see. */
  #passes(bytes: Buffer, start: number, end: number): boolean {
    const data = bytes.toString('latin1', start, end)
    if (data.includes('"usage":') && !/"usage":\s*null/.test(data)) {
      const event = parsedObject(eventData(bytes, start, end))
      const alone = hasNoChoices(event)
      this.#meter.count(data)
      this.#meter.said(event?.['usage'], alone)
      return !(alone && this.#options.call.hideUsage && event?.['usage'] !== undefined)
    }
    // Azure's first event carries its filter's word on the prompt, before there is an answer: no choices, no id.
    if (!this.#headTold && data.includes('"prompt_filter_results"') && /"choices":\s*\[\]/.test(data)) return false
    if (data.includes('"error"')) {
      const error = errorIn(parsedObject(eventData(bytes, start, end)))
      if (error !== undefined) {
        this.#release()
        this.#failInside(error)
        return false
      }
    }
    this.#meter.count(data)
    return true
  }

  #tellHead(): void {
    if (this.#headTold) return
    this.#headTold = true
    this.#waitFor(this.#options.limits.streamIdleMs)
    this.#options.sink.onHead(this.#head)
  }

  get #head(): AnswerHead {
    return { status: this.#status, contentType: this.#contentType, headers: this.#headers, quota: this.#quota }
  }

  /** Hands on what is whole. Comments that come before the first event wait for it. */
  #release(): void {
    if (this.#from < 0 || this.#held === undefined || this.#mode === 'over') return
    const bytes = this.#held.subarray(this.#from, this.#heldEnd)
    this.#from = -1
    if (!this.#headTold) {
      this.#body.append(bytes)
      return
    }
    if (!this.#options.sink.onData(this.#withComments(bytes), this.#meter.progress(false))) this.#goOn = false
  }

  #done(bytes: Buffer, start: number, end: number): void {
    this.#tellHead()
    this.#release()
    if (this.#mode !== 'stream') return
    this.#over()
    this.#options.sink.onEnd(this.#withComments(bytes.subarray(start, end)), this.#meter.end())
  }

  #withComments(bytes: Buffer): Buffer {
    if (this.#body.length === 0) return bytes
    const all = Buffer.concat([this.#body.bytes, bytes])
    this.#body.clear()
    return all
  }

  // ---- whole answers --------------------------------------------------------------------------------------------

  #onJson(body: Buffer): void {
    const answer = wholeAnswer(body)
    if (answer.kind === 'broken') return this.#broken()
    if (answer.kind === 'error') return this.#failInside(answer.error)
    const { sink, call } = this.#options
    if (!this.#meter.said(parsedObject(answer.usage), true) && call.operation !== 'embeddings')
      this.#meter.count(answer.choices())
    this.#mode = 'over'
    const progress = this.#meter.progress(true)
    sink.onHead(this.#head)
    if (!this.#aborted) sink.onData(body, progress)
    if (!this.#aborted) sink.onEnd(noBytes, progress)
  }

  // ---- ends -----------------------------------------------------------------------------------------------------

  /** An error where an answer should be, under a status that says all is well. */
  #failInside(error: Readonly<Record<string, unknown>>): void {
    const status = statusOfError(error)
    const failure = failureOfStatus(status, {}, 0)
    if (failure !== undefined) this.#fail(failure)
    else if (this.#headTold) this.#fail({ kind: 'server-error', status })
    else {
      this.#close()
      this.#refuse(status, refusalOf(status, error))
    }
  }

  #refuse(status: number, body: Buffer): void {
    if (this.#mode === 'over') return
    this.#mode = 'over'
    this.#options.sink.onRefused(status, body)
  }

  #broken(): void {
    this.#fail({ kind: 'broken', ...(this.#status > 0 && { status: this.#status }) })
  }

  /** `drain`: a well-formed answer that is no use: its body is read and thrown away, so that the connection lives. */
  #fail(failure: Failure, drain = false): void {
    if (this.#mode === 'over') return
    if (this.#mode === 'json') this.#body.free()
    if (drain) this.#over()
    else {
      this.#mode = 'over'
      this.#close()
    }
    this.#options.sink.onFailure(failure, this.#meter.progress(false))
  }

  /** Nothing more is told; what still comes is thrown away, within bounds. */
  #over(): void {
    this.#mode = 'over'
    this.#waitFor(drainedMsMax)
    this.#exchange?.resume()
  }

  #close(): void {
    this.#options.watchdog.release(this)
    this.#exchange?.abort()
  }

  #waitFor(silenceMsMax: number): void {
    this.silentMs = 0
    this.silenceMsMax = silenceMsMax
  }
}

const eventStreamType = /^text\/event-stream(?:\s*;[ -~]*)?$/i
const jsonType = /^application\/(?:[\w.+-]*\+)?json(?:\s*;[ -~]*)?$/i
const plainText = /^[ -~]*$/
