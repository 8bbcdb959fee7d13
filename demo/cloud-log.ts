import { createWriteStream, mkdirSync, type WriteStream } from 'node:fs'
import path from 'node:path'

/** One request as the cloud served it. */
export interface ServedRequest {
  /** From the header `x-request-id`, as the caller sent it. */
  readonly requestId: string | null
  readonly cloud: string
  readonly country: string
  readonly model: string
  readonly stream: boolean
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
  readonly ended: 'complete' | 'client-left' | 'reset' | 'down' | 'rejected'
  /** In flight when it came. */
  readonly slotsInUse: number
  readonly slotsTotal: number
}

/** A cloud's own record of what it did: one JSON line a request, never a prompt. */
export class CloudLog {
  readonly #out: WriteStream

  constructor(dir: string, cloud: string) {
    mkdirSync(path.join(dir, 'logs'), { recursive: true })
    this.#out = createWriteStream(path.join(dir, 'logs', `${cloud}.ndjson`), { flags: 'w' })
  }

  write(served: ServedRequest): void {
    this.#out.write(`${JSON.stringify(served)}\n`)
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#out.end(resolve))
  }
}
