/** What was seen of one streamed answer. */
export interface StreamSeen {
  contentEvents: number
  errorEvents: number
  errorCode: string | null
  done: boolean
  usage: { readonly promptTokens: number; readonly cachedTokens: number; readonly completionTokens: number } | null
  /** When the first content event was whole; undefined before. */
  firstContentMs: number | undefined
}

const boundary = Buffer.from('\n\n')

/** Reads server-sent events as a client does, by bytes, cut anywhere. */
export class StreamReader {
  readonly seen: StreamSeen = {
    contentEvents: 0,
    errorEvents: 0,
    errorCode: null,
    done: false,
    usage: null,
    firstContentMs: undefined,
  }
  #rest: Buffer | undefined

  push(chunk: Buffer, nowMs: number): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    let start = 0
    for (let end = bytes.indexOf(boundary, start); end >= 0; end = bytes.indexOf(boundary, start)) {
      this.#event(bytes.toString('utf8', start, end), nowMs)
      start = end + boundary.length
    }
    this.#rest = start < bytes.length ? bytes.subarray(start) : undefined
  }

  #event(text: string, nowMs: number): void {
    if (!text.startsWith('data:')) return
    const data = text.slice(5).trimStart()
    if (data === '[DONE]') {
      this.seen.done = true
      return
    }
    // The usual event is told by a look; only the few others are parsed.
    if (/"(?:content|arguments)":"(?!")/.test(data)) {
      this.seen.contentEvents++
      this.seen.firstContentMs ??= nowMs
    }
    if (data.startsWith('{"error"') || (data.includes('"usage":') && !data.includes('"usage":null'))) this.#parse(data)
  }

  #parse(data: string): void {
    let event: {
      error?: { code?: unknown }
      usage?: { prompt_tokens?: number; completion_tokens?: number; prompt_tokens_details?: { cached_tokens?: number } }
    }
    try {
      event = JSON.parse(data) as typeof event
    } catch {
      return
    }
    if (event.error !== undefined) {
      this.seen.errorEvents++
      this.seen.errorCode = String(event.error.code ?? 'unknown')
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
