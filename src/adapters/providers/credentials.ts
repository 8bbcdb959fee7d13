import type { Clock } from '../../core/clock.ts'
import { PatientFetch } from './patient-fetch.ts'

/** What is asked, for those credentials that sign it. */
export interface SignedRequest {
  readonly method: 'GET' | 'POST'
  readonly origin: string
  /** With its query, encoded as it is sent. */
  readonly path: string
  readonly body: Uint8Array | undefined
}

/** Proves to a vendor who is asking. */
export interface Credentials {
  /** Headers, flat. A promise where a token has to be fetched or a request signed. Rejects with what is wrong, in words. */
  headers(request: SignedRequest): readonly string[] | Promise<readonly string[]>
  /** The vendor did not take them (401): what can be fetched anew is. */
  refused?(): void
}

export const noCredentials: Credentials = { headers: () => [] }

/** A key that never changes, in one header. Throws where it cannot stand in one. */
export function headerCredentials(name: string, value: string): Credentials {
  // RFC 9110: a field value is visible text; of a key, nothing else is meant either.
  if (!/^[\x21-\x7e]+( [\x21-\x7e]+)*$/.test(value))
    throw new Error('the key holds a blank, a line break or a letter that no key holds; look at where it comes from')
  const headers = [name, value]
  return { headers: () => headers }
}

export interface Token {
  readonly value: string
  /** By the wall clock. */
  readonly expiresWallMs: number
}

/** Renewed in the background from this long before it expires (Google's and Azure's own advice); used until then. */
const renewBeforeMs = 300_000
/** Not sent any more from here on: it would expire on its way. */
const expiredBeforeMs = 10_000
/** A vendor that takes no token of ours at all is not a reason to fetch a new one for each request. */
const refusedAgeMsMin = 60_000

/** A bearer token that is fetched when needed, by one fetch at a time, and renewed before it expires. */
export function tokenCredentials(fetchToken: () => Promise<Token>, clock: Clock): Credentials {
  return new TokenCredentials(fetchToken, clock)
}

class TokenCredentials implements Credentials {
  readonly #clock: Clock
  readonly #renewal: PatientFetch<readonly string[]>
  #headers: readonly string[] | undefined
  #expiresWallMs = 0
  #fetchedAtMs = 0

  constructor(fetch: () => Promise<Token>, clock: Clock) {
    this.#clock = clock
    this.#renewal = new PatientFetch(async () => this.#take(await fetch()), clock)
  }

  headers(): readonly string[] | Promise<readonly string[]> {
    const leftMs = this.#expiresWallMs - this.#clock.wallMs()
    if (this.#headers === undefined || leftMs < expiredBeforeMs) return this.#renewal.get()
    // Still good: this request uses it, the next ones a new one.
    if (leftMs < renewBeforeMs) this.#renewal.get().catch(() => {})
    return this.#headers
  }

  refused(): void {
    if (this.#clock.nowMs() - this.#fetchedAtMs >= refusedAgeMsMin) this.#headers = undefined
  }

  #take({ value, expiresWallMs }: Token): readonly string[] {
    this.#headers = ['authorization', `Bearer ${value}`]
    this.#expiresWallMs = expiresWallMs
    this.#fetchedAtMs = this.#clock.nowMs()
    return this.#headers
  }
}
