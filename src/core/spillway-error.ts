import type { ErrorCode } from './errors.ts'

/**
 * Thrown inside hosts for what stops a piece of work; rendered at the edge. The message says what is wrong, where, and
 * what to do, and never holds a prompt, a key or an upstream body.
 */
export class SpillwayError extends Error {
  readonly code: ErrorCode
  /** The field it is about, for the envelope's `param`. */
  readonly param: string | null
  readonly retryAfterMs: number | undefined
  /** For programs: what stood against it and what else could be asked for. */
  readonly reason: object | undefined

  constructor(
    code: ErrorCode,
    message: string,
    options: { param?: string; retryAfterMs?: number; reason?: object; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'SpillwayError'
    this.code = code
    this.param = options.param ?? null
    this.retryAfterMs = options.retryAfterMs
    this.reason = options.reason
  }
}
