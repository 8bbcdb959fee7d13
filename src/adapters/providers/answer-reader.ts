import type { Failure } from '../../core/failure.ts'
import { answerJsonLimits, JsonProblem, scanJson } from '../../core/json-scan.ts'
import type { TokenCount } from '../../core/request.ts'
import { type EventKind, EventScanner, eventData } from './event-scanner.ts'
import { failureOfError, failureOfStatus } from './failures.ts'
import type { AnswerProgress, AnswerSink, ProviderCall, ProviderExchange } from './provider.ts'
import { normalisedRefusal } from './refusal-body.ts'
import type { HttpExchange, HttpSink } from './transport.ts'
import { outputTokensIn, tokensOf } from './usage.ts'

const refusalBytesMax = 1024 * 1024
const drainedBytesMax = 64 * 1024
const noBytes = Buffer.alloc(0)

/** Vendors' headers that say something to the caller and nothing of our account. */
const passedHeaders = ['openai-processing-ms', 'openai-version', 'x-ms-region', 'apim-request-id'] as const

export interface ReaderOptions {
  readonly call: ProviderCall
  readonly sink: AnswerSink
  readonly answerBytesMax: number
  readonly wallMs: () => number
}

/**
 * Turns what comes over the wire into an answer, a refusal or a failure. Nothing passes that is not plainly an answer
 * of the OpenAI dialect; bytes of an answer are handed on as they came, except for whole events that are not the
 * caller's: the usage chunk that only we asked for, and annotations that come before any content.
 */
export class AnswerReader implements HttpSink, ProviderExchange {
  readonly #options: ReaderOptions
  readonly #scanner: EventScanner
  #exchange: HttpExchange | undefined
  #mode: 'head' | 'stream' | 'json' | 'refused' | 'over' = 'head'
  #status = 0
  #contentType = ''
  #headers: (readonly [string, string])[] = []
  #headTold = false
  #parts: Buffer[] = []
  #partsBytes = 0
  /** From here on the chunk being read was not handed on yet; -1 where nothing of it waits. */
  #from = -1
  #outputTokens = 0
  #usage: TokenCount | undefined
  #goOn = true

  constructor(options: ReaderOptions) {
    this.#options = options
    this.#scanner = new EventScanner(
      (kind, bytes, start, end) => this.#onEvent(kind, bytes, start, end),
      options.answerBytesMax,
    )
  }

  /** The wire under it; given once it is there. */
  started(exchange: HttpExchange): void {
    if (this.#mode === 'over') exchange.abort()
    this.#exchange = exchange
  }

  /** Our own credentials could not be had: nothing was sent. */
  unauthorized(): void {
    this.#fail({ kind: 'unauthorized' })
  }

  // ---- the caller's side ----------------------------------------------------------------------------------------

  abort(): void {
    this.#mode = 'over'
    this.#exchange?.abort()
  }

  resume(): void {
    this.#exchange?.resume()
  }

  // ---- the wire's side ------------------------------------------------------------------------------------------

  onHead(status: number, headers: Readonly<Record<string, string | string[] | undefined>>): void {
    const { call, wallMs } = this.#options
    this.#status = status
    this.#contentType = String(headers['content-type'] ?? '')
    const encoding = String(headers['content-encoding'] ?? 'identity')
    if (encoding !== 'identity' && encoding !== '') return this.#fail({ kind: 'broken', status })
    if (status < 200 || status >= 300) {
      const failure = failureOfStatus(status, headers, wallMs())
      if (failure !== undefined) return this.#fail(failure, true)
      this.#mode = 'refused'
      return
    }
    const wanted = call.stream ? /^text\/event-stream\b/i : /^application\/(?:[\w.+-]*\+)?json\b/i
    if (!wanted.test(this.#contentType)) return this.#fail({ kind: 'broken', status })
    this.#headers = passedHeaders.flatMap((name) =>
      typeof headers[name] === 'string' ? [[name, headers[name]] as const] : [],
    )
    this.#mode = call.stream ? 'stream' : 'json'
  }

  onData(chunk: Buffer): boolean {
    switch (this.#mode) {
      case 'stream':
        return this.#onStreamData(chunk)
      case 'json':
      case 'refused': {
        this.#parts.push(chunk)
        this.#partsBytes += chunk.length
        const bytesMax = this.#mode === 'json' ? this.#options.answerBytesMax : refusalBytesMax
        if (this.#partsBytes > bytesMax) this.#fail({ kind: 'broken', status: this.#status })
        return true
      }
      default:
        this.#partsBytes += chunk.length
        if (this.#partsBytes > drainedBytesMax) this.#exchange?.abort()
        return true
    }
  }

  onEnd(): void {
    switch (this.#mode) {
      case 'json':
        return this.#onJson(this.#body())
      case 'refused': {
        this.#mode = 'over'
        return this.#options.sink.onRefused(this.#status, normalisedRefusal(this.#status, this.#body()))
      }
      case 'stream':
        // Without [DONE] an answer is cut, however orderly the connection closed.
        return this.#fail({ kind: 'reset', status: this.#status })
      case 'head':
        return this.#fail({ kind: 'broken' })
      case 'over':
        return
    }
  }

  onError(error: NodeJS.ErrnoException): void {
    this.#fail(failureOfError(error))
  }

  // ---- inside ---------------------------------------------------------------------------------------------------

  #onStreamData(chunk: Buffer): boolean {
    this.#goOn = true
    this.#from = -1
    this.#held = undefined
    if (!this.#scanner.push(chunk) && this.#mode === 'stream') this.#fail({ kind: 'broken', status: this.#status })
    this.#release()
    return this.#goOn
  }

  /** The bytes that `#from` points into, and how far they are good to hand on. */
  #held: Buffer | undefined
  #heldEnd = 0

  #onEvent(kind: EventKind, bytes: Buffer, start: number, end: number): void {
    if (this.#mode !== 'stream') return
    if (kind === 'done') return this.#done(bytes, start, end)
    if (kind === 'data' && !this.#passes(bytes, start, end)) {
      // Out of the stream: what came before it goes first.
      this.#release()
      return
    }
    if (kind === 'data') this.#tellHead()
    this.#held = bytes
    if (this.#from < 0) this.#from = start
    this.#heldEnd = end
  }

  /** Meters an event. False where it is not the caller's to see. */
  #passes(bytes: Buffer, start: number, end: number): boolean {
    const data = bytes.toString('latin1', start, end)
    const { hideUsage } = this.#options.call
    if (data.includes('"usage":') && !/"usage":\s*null/.test(data)) {
      const event = parsed(eventData(bytes, start, end))
      const tokens = tokensOf(event?.['usage'])
      if (tokens !== undefined) {
        this.#usage = tokens
        if (hideUsage && isEmptyList(event?.['choices'])) return false
      }
    }
    // Azure's first event carries its filter's word on the prompt, before there is an answer: no choices, no id.
    if (!this.#headTold && data.includes('"prompt_filter_results"') && /"choices":\s*\[\]/.test(data)) return false
    if (data.includes('"error":') && isError(parsed(eventData(bytes, start, end)))) {
      this.#release()
      this.#fail({ kind: 'server-error', status: this.#status })
      return false
    }
    this.#outputTokens += outputTokensIn(data)
    return true
  }

  #tellHead(): void {
    if (this.#headTold) return
    this.#headTold = true
    this.#options.sink.onHead({ status: this.#status, contentType: this.#contentType, headers: this.#headers })
  }

  /** Hands on what is whole. Comments that come before the first event wait for it. */
  #release(): void {
    if (this.#from < 0 || this.#held === undefined || this.#mode === 'over') return
    const bytes = this.#held.subarray(this.#from, this.#heldEnd)
    this.#from = -1
    if (!this.#headTold) {
      this.#parts.push(bytes)
      return
    }
    const first = this.#parts
    this.#parts = []
    const all = first.length === 0 ? bytes : Buffer.concat([...first, bytes])
    if (!this.#options.sink.onData(all, this.#progress())) this.#goOn = false
  }

  #done(bytes: Buffer, start: number, end: number): void {
    this.#tellHead()
    this.#release()
    if (this.#mode !== 'stream') return
    this.#mode = 'over'
    const before = this.#parts.splice(0)
    const last = bytes.subarray(start, end)
    this.#options.sink.onEnd(before.length === 0 ? last : Buffer.concat([...before, last]), this.#progress())
  }

  #onJson(body: Buffer): void {
    const scan = scanJson(body, answerJsonLimits)
    if (scan instanceof JsonProblem || !scan.isObject) return this.#fail({ kind: 'broken', status: this.#status })
    const member = scan.members.find(({ key }) => key === 'usage')
    if (member !== undefined) this.#usage = tokensOf(parsed(body.toString('utf8', member.valueStart, member.valueEnd)))
    if (this.#usage === undefined) this.#outputTokens = outputTokensIn(body.toString('latin1'))
    this.#mode = 'over'
    const { sink } = this.#options
    sink.onHead({ status: this.#status, contentType: this.#contentType, headers: this.#headers })
    const progress = this.#progress()
    sink.onData(body, progress)
    sink.onEnd(noBytes, progress)
  }

  #body(): Buffer {
    return this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts, this.#partsBytes)
  }

  #progress(): AnswerProgress {
    return { outputTokensCounted: this.#outputTokens, usage: this.#usage }
  }

  /** `drain`: a well-formed answer that is no use: its body is read and thrown away, so that the connection lives. */
  #fail(failure: Failure, drain = false): void {
    if (this.#mode === 'over') return
    this.#mode = 'over'
    if (!drain) this.#exchange?.abort()
    this.#options.sink.onFailure(failure, this.#progress())
  }
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function isEmptyList(value: unknown): boolean {
  return value === undefined || (Array.isArray(value) && value.length === 0)
}

function isError(event: Record<string, unknown> | undefined): boolean {
  return event !== undefined && typeof event['error'] === 'object' && event['error'] !== null && !('choices' in event)
}
