/** What is asked, for those credentials that sign it. */
export interface SignedRequest {
  readonly method: 'GET' | 'POST'
  readonly url: URL
  readonly body: Uint8Array | undefined
}

/** Proves to a vendor who is asking. */
export interface Credentials {
  /** Headers, flat. A promise where a token has to be fetched or a request signed. Rejects with what to do. */
  headers(request: SignedRequest): readonly string[] | Promise<readonly string[]>
}

export const noCredentials: Credentials = { headers: () => [] }

/** A key that never changes, in one header. */
export function headerCredentials(name: string, value: string): Credentials {
  const headers = [name, value]
  return { headers: () => headers }
}

export interface Token {
  readonly value: string
  /** By the wall clock. */
  readonly expiresWallMs: number
}

/** Renewed in the background from this long before it expires; used until then. */
const renewBeforeMs = 300_000
const expiredBeforeMs = 10_000

/** A bearer token that is fetched when needed, by one fetch at a time, and renewed before it expires. */
export function tokenCredentials(fetchToken: () => Promise<Token>, wallMs: () => number): Credentials {
  let token: { readonly headers: readonly string[]; readonly expiresWallMs: number } | undefined
  let fetching: Promise<readonly string[]> | undefined
  const renew = (): Promise<readonly string[]> => {
    fetching ??= fetchToken()
      .then(({ value, expiresWallMs }) => {
        token = { headers: ['authorization', `Bearer ${value}`], expiresWallMs }
        return token.headers
      })
      .finally(() => {
        fetching = undefined
      })
    return fetching
  }
  return {
    headers() {
      const leftMs = (token?.expiresWallMs ?? 0) - wallMs()
      if (token === undefined || leftMs < expiredBeforeMs) return renew()
      // Still good: this request uses it, the next ones a new one.
      if (leftMs < renewBeforeMs) renew().catch(() => {})
      return token.headers
    },
  }
}
