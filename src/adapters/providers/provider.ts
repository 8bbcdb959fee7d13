import type { Failure } from '../../core/failure.ts'
import type { QuotaWord } from '../../core/quota.ts'
import type { TokenCount } from '../../core/request.ts'

export type Operation = 'chat/completions' | 'completions' | 'embeddings'

/** One request to one vendor, its body ready to send. */
export interface ProviderCall {
  readonly requestId: string
  readonly operation: Operation
  /** The model's (or deployment's) name at this vendor; it stands in `body` already. */
  readonly upstreamModel: string
  /** JSON in the OpenAI dialect, in pieces to be sent one after the other. */
  readonly body: readonly Uint8Array[]
  readonly bodyBytes: number
  /** The caller asked for server-sent events. */
  readonly stream: boolean
  /** We, not the caller, asked for the usage chunk: it is metered and taken out. */
  readonly hideUsage: boolean
}

export interface AnswerHead {
  readonly status: number
  readonly contentType: string
  /** The vendor's headers that may reach the caller, lower case, from an allow-list. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** What the vendor says of its own limits. */
  readonly quota: QuotaWord | undefined
}

/** How far an answer got, for MARK and SETTLE. */
export interface AnswerProgress {
  /** Output tokens in the bytes handed over so far, by our own count. Never falls. */
  readonly outputTokensCounted: number
  /** What the vendor said, once that is of all that was handed over. */
  readonly usage: TokenCount | undefined
}

/**
 * Receives one answer. After `send` returns, exactly one of these happens last: `onEnd`, `onRefused`, `onFailure`;
 * nothing at all after `abort`. Calls never come from inside `send` itself.
 */
export interface AnswerSink {
  /** The vendor answers 2xx with the right content type. For a stream: its first event is here. Once, before data. */
  onHead(head: AnswerHead): void
  /**
   * Bytes for the caller. Streams: whole events, many in one call where they arrived together. JSON: the whole
   * answer, checked, in one call. Returning false asks for `resume` before more comes.
   */
  onData(bytes: Uint8Array, progress: AnswerProgress): boolean
  /** The answer is whole: JSON checked, or `[DONE]` seen. For streams `lastBytes` (with `[DONE]`) were held back for this call. */
  onEnd(lastBytes: Uint8Array, progress: AnswerProgress): void
  /** The vendor says the request itself is wrong (400, 413, 422 …). The body is an OpenAI envelope, normalised. */
  onRefused(status: number, body: Uint8Array): void
  /** Before or after data; the bytes handed over before it are all there is. */
  onFailure(failure: Failure, progress: AnswerProgress): void
}

/** A running call. */
export interface ProviderExchange {
  /** Closes the connection to the vendor at once; idempotent. */
  abort(): void
  /** The caller has drained: go on. */
  resume(): void
}

export interface ProbeResult {
  readonly reachable: boolean
  /** For a person: what failed and what to do; absent when reachable. */
  readonly problem?: string
  readonly durationMs: number
}

/** Asks one vendor, in one place, with one credential. Never follows a redirect, never decompresses, caps every size. */
export interface Provider {
  readonly kind: string
  send(call: ProviderCall, sink: AnswerSink): ProviderExchange
  /** Can a connection be made and are the credentials good? Costs no tokens. Never throws. */
  probe(timeoutMs: number): Promise<ProbeResult>
  close(): Promise<void>
}
