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
import type { Failure } from '../core/failure.ts'
import type { Observer, RequestSummary } from './observer.ts'
import type { ServedEndpoint } from './plane.ts'

interface OpenTrace {
  readonly parent: Context
  readonly attempts: Map<number, Span>
  readonly startMs: number
}

/**
 * A span for each request and a client span for each try, with the attributes of OpenTelemetry's GenAI conventions. The
 * caller's own trace, if it sent one, is the parent. No content.
 */
export class Tracing implements Observer {
  readonly #tracer: Tracer
  readonly #open = new Map<string, OpenTrace>()

  constructor(tracer: Tracer) {
    this.#tracer = tracer
  }

  attemptStarted(requestId: string, endpoint: ServedEndpoint, number: number, traceparent: string | undefined): void {
    let open = this.#open.get(requestId)
    if (open === undefined) {
      open = { parent: parentOf(traceparent), attempts: new Map(), startMs: Date.now() }
      this.#open.set(requestId, open)
    }
    const span = this.#tracer.startSpan(
      `chat ${endpoint.model}`,
      {
        kind: SpanKind.CLIENT,
        attributes: {
          'gen_ai.operation.name': 'chat',
          'gen_ai.provider.name': endpoint.subProcessor,
          'gen_ai.request.model': endpoint.upstreamModel,
          'spillway.endpoint': endpoint.id,
          'spillway.country': endpoint.country,
          'spillway.attempt': number,
        },
      },
      open.parent,
    )
    open.attempts.set(number, span)
  }

  attemptEnded(
    requestId: string,
    _endpoint: ServedEndpoint,
    number: number,
    failure: Failure | 'cancelled' | 'refused' | undefined,
  ): void {
    const span = this.#open.get(requestId)?.attempts.get(number)
    if (span === undefined) return
    if (failure !== undefined) {
      const kind = typeof failure === 'string' ? failure : failure.kind
      span.setAttribute('error.type', kind)
      span.setStatus({ code: SpanStatusCode.ERROR, message: kind })
    }
    span.end()
  }

  streamOpened(): void {}
  streamClosed(): void {}

  finished(summary: RequestSummary): void {
    const open = this.#open.get(summary.requestId)
    this.#open.delete(summary.requestId)
    if (open === undefined) return
    const { tokens, endpoint, code } = summary
    const span = this.#tracer.startSpan(
      `spillway ${summary.operation}`,
      {
        kind: SpanKind.SERVER,
        startTime: open.startMs,
        attributes: {
          'spillway.request_id': summary.requestId,
          'spillway.attempts': summary.attempts,
          'spillway.state': summary.state,
          'http.response.status_code': summary.status,
          ...(summary.model !== undefined && { 'gen_ai.request.model': summary.model }),
          ...(endpoint !== undefined && { 'spillway.endpoint': endpoint.id, 'spillway.country': endpoint.country }),
          ...(tokens !== undefined && {
            'gen_ai.usage.input_tokens': tokens.input,
            'gen_ai.usage.output_tokens': tokens.output,
          }),
          ...(code !== undefined && { 'error.type': code }),
        },
      },
      open.parent,
    )
    if (summary.status >= 500)
      span.setStatus({ code: SpanStatusCode.ERROR, ...(code !== undefined && { message: code }) })
    span.end()
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
