import {
  type Context,
  context,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import type { Clock } from '../core/clock.ts'
import type { Failure } from '../core/failure.ts'
import { genAiOperation, genAiProvider } from './gen-ai.ts'
import type { ObservedRequest, Observer, RequestSummary } from './observer.ts'
import type { ServedEndpoint } from './plane.ts'

/** A request that is not over: its own span, and those of its tries, which end with it. */
interface OpenTrace {
  readonly span: Span
  readonly within: Context
  readonly arrivedWallMs: number
  readonly tries: OpenTry[]
}

interface OpenTry {
  readonly number: number
  readonly span: Span
  readonly startWallMs: number
  endWallMs?: number
}

/**
 * A server span for each request and in it a client span for each try, by OpenTelemetry's conventions for HTTP and for
 * generative AI. The caller's own trace, if it sent one, goes on. No content, no key, no tenant's name.
 */
export class Tracing implements Observer {
  readonly #tracer: Tracer
  readonly #clock: Clock
  readonly #open = new Map<string, OpenTrace>()

  constructor(tracer: Tracer, clock: Clock) {
    this.#tracer = tracer
    this.#clock = clock
  }

  attemptStarted(request: ObservedRequest, endpoint: ServedEndpoint, number: number): void {
    const open = this.#open.get(request.id) ?? this.#begin(request)
    const operation = genAiOperation(request.operation)
    const startWallMs = this.#clock.wallMs()
    const span = this.#tracer.startSpan(
      `${operation} ${endpoint.upstreamModel}`,
      {
        kind: SpanKind.CLIENT,
        startTime: startWallMs,
        attributes: {
          'gen_ai.operation.name': operation,
          'gen_ai.provider.name': genAiProvider(endpoint),
          'gen_ai.request.model': endpoint.upstreamModel,
          'gen_ai.request.stream': request.body.stream,
          'spillway.endpoint': endpoint.id,
          'spillway.sub_processor': endpoint.subProcessor,
          'spillway.country': endpoint.country,
          'spillway.attempt': number,
        },
      },
      open.within,
    )
    open.tries.push({ number, span, startWallMs })
  }

  attemptEnded(
    requestId: string,
    _endpoint: ServedEndpoint,
    number: number,
    failure: Failure | 'cancelled' | 'refused' | undefined,
  ): void {
    const one = this.#open.get(requestId)?.tries.find((other) => other.number === number)
    if (one === undefined) return
    one.endWallMs = this.#clock.wallMs()
    if (failure === undefined) return
    const kind = typeof failure === 'string' ? failure : failure.kind
    one.span.setAttribute('error.type', kind)
    one.span.setStatus({ code: SpanStatusCode.ERROR, message: kind })
  }

  streamOpened(): void {}
  streamClosed(): void {}

  finished(summary: RequestSummary, request?: ObservedRequest): void {
    if (request === undefined) return
    const { span, tries, arrivedWallMs } = this.#open.get(summary.requestId) ?? this.#begin(request)
    this.#open.delete(summary.requestId)
    const { tokens, endpoint, code, model, firstByteMs } = summary
    const nowWallMs = this.#clock.wallMs()
    const last = tries.at(-1)
    if (tokens !== undefined)
      last?.span.setAttributes({
        'gen_ai.usage.input_tokens': tokens.input,
        'gen_ai.usage.cache_read.input_tokens': tokens.cachedInput,
        'gen_ai.usage.output_tokens': tokens.output,
      })
    if (last !== undefined && summary.stream && firstByteMs !== undefined) {
      const firstChunkMs = arrivedWallMs + firstByteMs - last.startWallMs
      last.span.setAttribute('gen_ai.response.time_to_first_chunk', firstChunkMs / 1_000)
    }
    for (const one of tries) one.span.end(one.endWallMs ?? nowWallMs)
    span.setAttributes({
      'http.response.status_code': summary.status,
      'spillway.attempts': summary.attempts,
      'spillway.state': summary.state,
      ...(model !== undefined && { 'spillway.model': model }),
      ...(endpoint !== undefined && { 'spillway.endpoint': endpoint.id, 'spillway.country': endpoint.country }),
      ...(code !== undefined && { 'error.type': code }),
    })
    // A stream that was cut had its status 200 long before.
    if (summary.status >= 500 || summary.state === 'partial')
      span.setStatus({ code: SpanStatusCode.ERROR, ...(code !== undefined && { message: code }) })
    span.end(nowWallMs)
  }

  #begin({ id, operation, arrivedMs, exchange }: ObservedRequest): OpenTrace {
    const parent = parentOf(exchange.header('traceparent'))
    const arrivedWallMs = this.#clock.wallMs() - (this.#clock.nowMs() - arrivedMs)
    const span = this.#tracer.startSpan(
      `POST /v1/${operation}`,
      {
        kind: SpanKind.SERVER,
        startTime: arrivedWallMs,
        attributes: {
          'http.request.method': 'POST',
          'http.route': `/v1/${operation}`,
          'spillway.request_id': id,
        },
      },
      parent,
    )
    const open: OpenTrace = { span, within: trace.setSpan(parent, span), arrivedWallMs, tries: [] }
    this.#open.set(id, open)
    return open
  }
}

/** The caller's span by W3C trace context; the root where it sent none that is well formed. */
function parentOf(traceparent: string | undefined): Context {
  const parts = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(traceparent ?? '')
  if (parts === null) return context.active()
  const [, traceId = '', spanId = '', flags = '00'] = parts
  return trace.setSpanContext(context.active(), {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED,
    isRemote: true,
  })
}
