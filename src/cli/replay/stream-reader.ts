/** An error as OpenAI's envelope says it. */
export interface StreamError {
  readonly code: string | null
  readonly message: string | null
}

/** What was seen of one streamed answer. */
export interface StreamSeen {
  contentEvents: number
  errorEvents: number
  /** The first one. */
  error: StreamError | null
  /** No event came after the last error. */
  endsInError: boolean
  done: boolean
  usage: { readonly promptTokens: number; readonly cachedTokens: number; readonly completionTokens: number } | null
  /** When the first content event was whole; undefined before. */
  firstContentMs: number | undefined
  /** The answer says of itself that it is one of a demo cloud. */
  simulated: boolean
}

const lineFeed = 0x0a
const carriageReturn = 0x0d

/** Reads server-sent events as a client does, by bytes, cut anywhere; lines may end in LF or CRLF. */
export class StreamReader {
  readonly seen: StreamSeen = {
    contentEvents: 0,
    errorEvents: 0,
    error: null,
    endsInError: false,
    done: false,
    usage: null,
    firstContentMs: undefined,
    simulated: false,
  }
  #rest: Buffer | undefined

  push(chunk: Buffer, nowMs: number): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    let start = 0
    for (let end = blankLine(bytes, start); end >= 0; end = blankLine(bytes, start)) {
      this.#event(bytes.toString('utf8', start, end), nowMs)
      start = end
    }
    this.#rest = start < bytes.length ? bytes.subarray(start) : undefined
  }

  #event(text: string, nowMs: number): void {
    const at = text.startsWith('data:') ? 0 : text.indexOf('\ndata:') + 1
    if (at === 0 && !text.startsWith('data:')) return
    const data = text.slice(at + 'data:'.length).trim()
    this.seen.endsInError = false
    if (data === '[DONE]') {
      this.seen.done = true
      return
    }
    // The usual event is told by a look; only the few others are parsed.
    if (/"(?:content|reasoning_content|reasoning|arguments)":\s*"(?!")/.test(data)) {
      if (this.seen.contentEvents++ === 0) {
        this.seen.firstContentMs = nowMs
        this.seen.simulated = data.includes('"Simulation: "')
      }
    }
    if (/^\{\s*"error"|"usage":\s*\{/.test(data)) this.#parse(data)
  }

  #parse(data: string): void {
    let event: {
      error?: unknown
      usage?: { prompt_tokens?: number; completion_tokens?: number; prompt_tokens_details?: { cached_tokens?: number } }
    }
    try {
      event = JSON.parse(data) as typeof event
    } catch {
      return
    }
    const error = streamErrorOf(event.error)
    if (error !== undefined) {
      this.seen.errorEvents++
      this.seen.error ??= error
      this.seen.endsInError = true
    }
    if (event.usage !== undefined && event.usage !== null) {
      this.seen.usage = {
        promptTokens: event.usage.prompt_tokens ?? 0,
        cachedTokens: event.usage.prompt_tokens_details?.cached_tokens ?? 0,
        completionTokens: event.usage.completion_tokens ?? 0,
      }
    }
  }
}

/** What the member `error` of an answer or event says; undefined where it is none. */
export function streamErrorOf(error: unknown): StreamError | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const { code, message } = error as { code?: unknown; message?: unknown }
  const text = (value: unknown) => (value === undefined || value === null ? null : String(value))
  return { code: text(code), message: text(message) }
}

/** Where the blank line after an event ends; -1 where none has come yet. */
function blankLine(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(lineFeed, from); at >= 0; at = bytes.indexOf(lineFeed, at + 1)) {
    const next = bytes[at + 1] === carriageReturn ? at + 2 : at + 1
    if (bytes[next] === lineFeed) return next + 1
  }
  return -1
}
