import { Agent, type IncomingMessage, request } from 'node:http'
import { Agent as TlsAgent, request as tlsRequest } from 'node:https'
import { seededRandom } from '../../core/random.ts'
import { requestBody } from './prompt.ts'
import { type StreamError, StreamReader, streamErrorOf } from './stream-reader.ts'
import type { TraceRequest } from './trace.ts'

/** `cut-with-error-event`: as it should be where a vendor broke off, an error as the last event. `cut-without`: not so. */
export type Ending = 'ok' | 'refused' | 'cut-with-error-event' | 'cut-without' | 'unreachable' | 'timeout' | 'given-up'

/** How one request went, as its client saw it. */
export interface ReplayResult {
  readonly index: number
  /** Which of the keys. */
  readonly key: number
  readonly requestId: string | null
  readonly status: number
  readonly code: string | null
  /** In words, where it was refused or cut. */
  readonly message: string | null
  readonly endpoint: string | null
  readonly country: string | null
  readonly attempts: number
  readonly overheadMs: number | null
  readonly retryAfter: string | null
  /** When it was due, wall clock. */
  readonly sentMs: number
  /** From when it was due to its first token. */
  readonly ttftMs: number | null
  /** From when it was due to its end. */
  readonly endMs: number
  /** How late it was really sent. */
  readonly lateMs: number
  readonly contentEvents: number
  readonly errorEvents: number
  readonly done: boolean
  readonly usage: {
    readonly promptTokens: number
    readonly cachedTokens: number
    readonly completionTokens: number
  } | null
  /** The answer says that it is a simulation. */
  readonly simulated: boolean
  readonly ended: Ending
}

export interface ReplayOptions {
  readonly trace: readonly TraceRequest[]
  readonly speed: number
  /** Up to and with `/v1`. */
  readonly url: string
  readonly keys: readonly string[]
  readonly model: string
  readonly timeoutMs: number
  /** Requests open at once; above it the next ones are late. */
  readonly concurrencyMax: number
  readonly seed: number
  /** A request was sent, or one has ended. */
  readonly onChange?: (inFlight: number, ended?: ReplayResult) => void
  /** Ends the sending; what is open is waited for. */
  readonly stop?: AbortSignal
  /** Ends what is open, too. */
  readonly giveUp?: AbortSignal
}

/** Requests are sent at their time and up to this much before. */
const earlyMs = 1

/**
 * Sends a trace as real requests at their recorded times. Latency counts from when a request was due, not from when it
 * left. Resolves with what was sent, in the order of the trace.
 */
export async function runReplay(options: ReplayOptions): Promise<readonly ReplayResult[]> {
  const { trace, speed, keys, concurrencyMax, stop, giveUp, onChange } = options
  const url = new URL(options.url)
  const secure = url.protocol === 'https:'
  const agent = secure
    ? new TlsAgent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })
    : new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })
  const random = seededRandom(options.seed)
  const keyOf = trace.map(() => Math.floor(random.next() * keys.length))
  const results: ReplayResult[] = []
  const open = new Set<Promise<void>>()
  const isStopped = () => stop?.aborted === true || giveUp?.aborted === true
  const startedMs = performance.now()
  let next = 0
  await new Promise<void>((resolve) => {
    const step = (): void => {
      while (next < trace.length && !isStopped() && open.size < concurrencyMax) {
        const due = startedMs + (trace[next] as TraceRequest).atMs / speed
        if (due - performance.now() > earlyMs) break
        const index = next++
        const key = keyOf[index] as number
        const one: Promise<void> = sendOne({ options, url, secure, agent, index, key, dueMs: due }).then((result) => {
          results.push(result)
          open.delete(one)
          onChange?.(open.size, result)
        })
        open.add(one)
        onChange?.(open.size)
      }
      if (next >= trace.length || isStopped()) return resolve()
      const waitMs =
        open.size >= concurrencyMax
          ? 1
          : Math.max(0, startedMs + (trace[next] as TraceRequest).atMs / speed - performance.now())
      setTimeout(step, Math.min(waitMs, 50))
    }
    step()
  })
  await Promise.all(open)
  agent.destroy()
  return results.sort((a, b) => a.index - b.index)
}

interface One {
  readonly options: ReplayOptions
  readonly url: URL
  readonly secure: boolean
  readonly agent: Agent
  readonly index: number
  readonly key: number
  readonly dueMs: number
}

function sendOne({ options, url, secure, agent, index, key, dueMs }: One): Promise<ReplayResult> {
  const body = requestBody(options.trace[index] as TraceRequest, index, options.model)
  const reader = new StreamReader()
  const lateMs = Math.max(0, performance.now() - dueMs)
  return new Promise((resolve) => {
    let answer: IncomingMessage | undefined
    let refusal = ''
    let over = false
    const finish = (ended: Ending): void => {
      if (over) return
      over = true
      clearTimeout(timer)
      options.giveUp?.removeEventListener('abort', onGiveUp)
      const { seen } = reader
      const error = seen.error ?? errorIn(refusal)
      const header = (name: string) => {
        const value = answer?.headers[name]
        return typeof value === 'string' ? value : null
      }
      const overhead = header('x-spillway-overhead-ms')
      resolve({
        index,
        key,
        requestId: header('x-request-id'),
        status: answer?.statusCode ?? 0,
        code: error?.code ?? null,
        message: error?.message ?? null,
        endpoint: header('x-spillway-endpoint'),
        country: header('x-spillway-country'),
        attempts: Number(header('x-spillway-attempts') ?? 0),
        overheadMs: overhead === null ? null : Number(overhead),
        retryAfter: header('retry-after'),
        sentMs: performance.timeOrigin + dueMs,
        ttftMs: seen.firstContentMs === undefined ? null : seen.firstContentMs - dueMs,
        endMs: performance.now() - dueMs,
        lateMs,
        contentEvents: seen.contentEvents,
        errorEvents: seen.errorEvents,
        done: seen.done,
        usage: seen.usage,
        simulated: seen.simulated,
        ended,
      })
    }
    const call = (secure ? tlsRequest : request)(
      url,
      {
        agent,
        method: 'POST',
        path: `${url.pathname.replace(/\/+$/, '')}/chat/completions`,
        headers: {
          authorization: `Bearer ${options.keys[key]}`,
          'content-type': 'application/json',
          'content-length': body.length,
        },
      },
      (incoming) => {
        answer = incoming
        const streamed = incoming.statusCode === 200
        incoming.on('data', (chunk: Buffer) => {
          if (streamed) reader.push(chunk, performance.now())
          else refusal += chunk.toString('utf8')
        })
        incoming.on('close', () => {
          if (!streamed) return finish('refused')
          const { done, errorEvents } = reader.seen
          finish(done && errorEvents === 0 ? 'ok' : cutEnding(reader))
        })
      },
    )
    const abandon = (ended: Ending): void => {
      finish(ended)
      call.destroy()
    }
    const timer = setTimeout(() => abandon('timeout'), options.timeoutMs)
    const onGiveUp = () => abandon('given-up')
    options.giveUp?.addEventListener('abort', onGiveUp, { once: true })
    call.on('error', () => finish(answer === undefined ? 'unreachable' : cutEnding(reader)))
    call.end(body)
  })
}

function cutEnding({ seen }: StreamReader): Ending {
  return seen.endsInError && !seen.done ? 'cut-with-error-event' : 'cut-without'
}

function errorIn(refusal: string): StreamError | null {
  try {
    const { error } = JSON.parse(refusal) as { error?: unknown }
    return streamErrorOf(error) ?? null
  } catch {
    return null
  }
}
