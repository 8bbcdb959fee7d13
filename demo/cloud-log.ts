import { mkdirSync, openSync, writeSync } from 'node:fs'
import path from 'node:path'

export type Fault = 'down' | 'slow' | '429' | 'reset' | 'stall'

/** One request that came with a body to be answered, as the cloud dealt with it. */
export interface ServedRequest {
  readonly kind: 'request'
  /** From the header `x-request-id`, as the caller sent it. */
  readonly requestId: string | null
  readonly cloud: string
  readonly country: string
  readonly model: string
  readonly stream: boolean
  /** 200 from the moment it was given a slot; an error's own; 0 where it was dropped without a word. */
  readonly status: number
  readonly promptTokens: number
  readonly cachedTokens: number
  /** Tokens made and handed to the connection. */
  readonly completionTokens: number
  readonly contentEventsSent: number
  readonly bytes: number
  /** Wall clock, ms with fractions. */
  readonly startMs: number
  readonly endMs: number
  /** `rejected`: with an error, without taking a slot. `silent`: never answered, until the caller left. */
  readonly ended: 'complete' | 'client-left' | 'reset' | 'down' | 'rejected' | 'silent'
  /** In flight when it came. */
  readonly slotsInUse: number
  readonly slotsTotal: number
}

/** From this moment on the cloud fails in this way; null: it is well again. */
export interface FaultChange {
  readonly kind: 'fault'
  readonly cloud: string
  readonly country: string
  readonly how: Fault | null
  readonly atMs: number
}

/**
 * A cloud's own record of what it did: one JSON line for each request and each change of its health, never a prompt.
 * Each line is with the operating system before the next is begun, so that a kill loses none.
 */
export class CloudLog {
  readonly #file: number

  constructor(dir: string, cloud: string) {
    mkdirSync(path.join(dir, 'logs'), { recursive: true })
    this.#file = openSync(path.join(dir, 'logs', `${cloud}.ndjson`), 'w')
  }

  write(line: ServedRequest | FaultChange): void {
    writeSync(this.#file, `${JSON.stringify(line)}\n`)
  }
}

/** Fractions of a millisecond on the wall clock. */
export function wallMs(): number {
  return performance.timeOrigin + performance.now()
}
