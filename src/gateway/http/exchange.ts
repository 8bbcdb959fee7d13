/**
 * The seam between the gateway and whatever carries HTTP: one request and its answer. Everything above it is written
 * against this, so that the transport can be replaced without touching anything else.
 */
export interface HttpExchange {
  readonly method: string
  /** The path as it was sent, without the query. */
  readonly path: string
  /** Name, value, name, value … as they were sent. */
  readonly rawHeaders: readonly string[]
  /** The first header of that name (lower case), or undefined. */
  header(name: string): string | undefined
  /**
   * Reads the whole body; calls back once, with the bytes or with why there are none: from inside this call where that
   * is known at once, and not at all after `gone`. Until then the client is not told to go on (`100-continue`).
   */
  readBody(bytesMax: number, done: (body: Buffer | BodyProblem) => void): void
  /** The body is needed no more: its bytes count as free. */
  releaseBody(): void
  /**
   * Status and headers; `headers` is flat: name, value, name, value … Goes out with the first bytes. Before the end of
   * the request's body it also means that nothing more is read: the connection closes after the answer.
   */
  head(status: number, headers: string[]): void
  /** Sends bytes. False: more than the client takes is waiting; `drained` will be called. */
  write(bytes: Uint8Array): boolean
  /** Sends the last bytes and ends the answer cleanly. */
  end(bytes?: Uint8Array): void
  /** Breaks the connection: what was sent is visibly not whole. */
  destroy(): void
  /** The client has taken what was waiting. Set before the first `write`. */
  drained: (() => void) | undefined
  /** The client has left before the answer was whole, or takes nothing any more. At most once. */
  gone: (() => void) | undefined
  /** True once the client has left or the answer has ended. */
  readonly closed: boolean
  /** The client will be asked to open a new connection for its next request. */
  closeAfter(): void
}

export type BodyProblem = 'too-large' | 'too-slow' | 'no-room'
