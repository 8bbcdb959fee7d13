import type { SettleState, TokenSource } from '../adapters/storage/journal-record.ts'
import type { Failure } from '../core/failure.ts'
import type { TokenCount } from '../core/request.ts'
import type { BrownoutWords } from './brownout.ts'
import type { ServedEndpoint } from './plane.ts'

/** How one request went, for metrics, log and trace. Holds no content and no key. */
export interface RequestSummary {
  readonly requestId: string
  readonly operation: string
  /** Undefined where the request was refused before it was known. */
  readonly tenant: string | undefined
  readonly plan: string | undefined
  readonly keyId: string | undefined
  readonly model: string | undefined
  readonly stream: boolean
  /** What the caller saw; 499 where the caller had left. */
  readonly status: number
  readonly code: string | undefined
  readonly state: SettleState | 'refused'
  readonly attempts: number
  readonly endpoint: ServedEndpoint | undefined
  readonly tokens: TokenCount | undefined
  readonly source: TokenSource | undefined
  readonly nanoUsd: number
  readonly durationMs: number
  /** From arrival to the first byte given to the caller. */
  readonly firstByteMs: number | undefined
  /** Our own share of that. */
  readonly overheadMs: number | undefined
  readonly retryCount: number
  /** What the request did without because its model was short; empty for most. */
  readonly brownout: BrownoutWords
}

/** What is known of a request while it runs. Nothing of it is kept by an observer but what it reads at once. */
export interface ObservedRequest {
  readonly id: string
  readonly operation: string
  /** By the clock that never jumps. */
  readonly arrivedMs: number
  readonly body: { readonly stream: boolean }
  readonly exchange: { header(name: string): string | undefined }
}

/** Is told what happened; never asked what to do. Calls are on the hot path: cheap, and they never throw. */
export interface Observer {
  /** A try begins. */
  attemptStarted(request: ObservedRequest, endpoint: ServedEndpoint, number: number): void
  /** A try ended; `failure` where it failed. */
  attemptEnded(
    requestId: string,
    endpoint: ServedEndpoint,
    number: number,
    failure: Failure | 'cancelled' | 'refused' | undefined,
  ): void
  streamOpened(): void
  streamClosed(): void
  /** `request` is absent where it was refused before it was read. */
  finished(summary: RequestSummary, request?: ObservedRequest): void
}
