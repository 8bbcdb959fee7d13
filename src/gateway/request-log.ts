import type { Logger } from 'pino'
import { brownoutText } from './brownout.ts'
import type { Observer, RequestSummary } from './observer.ts'

/**
 * One line of JSON for each request. The fields are chosen one by one here: nothing of a request gets into the log
 * because it happened to be on an object, so no prompt and no key can.
 */
export class RequestLog implements Observer {
  readonly #log: Logger

  constructor(log: Logger) {
    this.#log = log
  }

  attemptStarted(): void {}
  attemptEnded(): void {}
  streamOpened(): void {}
  streamClosed(): void {}

  finished(summary: RequestSummary): void {
    const {
      requestId,
      operation,
      tenant,
      plan,
      keyId,
      model,
      stream,
      status,
      code,
      state,
      attempts,
      endpoint,
      tokens,
      source,
      nanoUsd,
      durationMs,
      firstByteMs,
      overheadMs,
      retryCount,
      brownout,
    } = summary
    const level = status >= 500 ? 'warn' : 'info'
    this.#log[level](
      {
        request_id: requestId,
        operation,
        tenant,
        plan,
        key_id: keyId,
        model,
        stream,
        status,
        code,
        state,
        attempts,
        endpoint: endpoint?.id,
        sub_processor: endpoint?.subProcessor,
        country: endpoint?.country,
        input_tokens: tokens?.input,
        cached_input_tokens: tokens?.cachedInput,
        output_tokens: tokens?.output,
        token_source: source,
        usd: nanoUsd / 1e9,
        duration_ms: rounded(durationMs),
        first_byte_ms: rounded(firstByteMs),
        overhead_ms: rounded(overheadMs),
        client_retry: retryCount || undefined,
        brownout: brownout.length > 0 ? brownoutText(brownout) : undefined,
      },
      'request',
    )
  }
}

function rounded(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms * 100) / 100
}
