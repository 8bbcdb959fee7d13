/** Tells the time. Hosts hand one in; nothing in the pure rings asks for the time itself. */
export interface Clock {
  /** Milliseconds on a clock that never jumps or runs back. Its zero means nothing; only differences do. */
  nowMs(): number
  /** Milliseconds since 1970 by the wall clock: for people and price dates, never for timeouts. */
  wallMs(): number
}
