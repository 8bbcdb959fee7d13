import type { Clock } from '../../core/clock.ts'

const fetchMsMax = 10_000
/** After a failure the other side is left alone for so long, twice as long after each further one. */
const holdMsMin = 1_000
const holdMsMax = 30_000

/**
 * Fetches what many ask for: by one call at a time, whose outcome all of them share. A call that takes too long has
 * failed; after a failure all get its error for a while, and nothing is asked.
 */
export class PatientFetch<T> {
  readonly #fetch: () => Promise<T>
  readonly #clock: Clock
  #fetching: Promise<T> | undefined
  #heldUntilMs = Number.NEGATIVE_INFINITY
  #holdMs = holdMsMin
  #lastError: unknown

  constructor(fetch: () => Promise<T>, clock: Clock) {
    this.#fetch = fetch
    this.#clock = clock
  }

  get(): Promise<T> {
    if (this.#fetching !== undefined) return this.#fetching
    if (this.#clock.nowMs() < this.#heldUntilMs) return Promise.reject(this.#lastError)
    this.#fetching = this.#once().finally(() => {
      this.#fetching = undefined
    })
    return this.#fetching
  }

  async #once(): Promise<T> {
    try {
      const fetched = await withTimeout(this.#fetch(), fetchMsMax)
      this.#holdMs = holdMsMin
      return fetched
    } catch (error) {
      this.#lastError = error
      this.#heldUntilMs = this.#clock.nowMs() + this.#holdMs
      this.#holdMs = Math.min(holdMsMax, this.#holdMs * 2)
      throw error
    }
  }
}

/** Rejects where it takes longer. */
export function withTimeout<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
  })
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer))
}
