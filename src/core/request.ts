import type { RequestId, TenantId } from './ids.ts'
import type { ServiceClass } from './service-class.ts'

/** Tokens by kind, as OpenAI counts them: `input` includes `cachedInput`, `output` includes reasoning. */
export interface TokenCount {
  readonly input: number
  readonly cachedInput: number
  readonly output: number
}

/**
 * The register's word: which endpoints may serve, one bit for each endpoint index. Interned per (terms, model), so
 * that equal sets are the same object and a test is one bit operation.
 */
export interface Eligibility {
  /** Bit `index & 31` of word `index >> 5` is 1 for an endpoint that may serve. */
  readonly words: Uint32Array
  /** The eligible indices, ascending. */
  readonly indices: Int32Array
  /** The version of the register, and of the endpoints' indices, that gave this word. */
  readonly version: number
}

export function isEligible(eligible: Eligibility, index: number): boolean {
  const word = eligible.words[index >>> 5]
  return word !== undefined && ((word >>> (index & 31)) & 1) === 1
}

/** Makes the word from indices. `count` is the number of endpoints there are. */
export function eligibilityOf(indices: readonly number[], count: number, version: number): Eligibility {
  const words = new Uint32Array((count + 31) >>> 5)
  for (const index of indices) words[index >>> 5] = (words[index >>> 5] ?? 0) | (1 << (index & 31))
  return { words, indices: Int32Array.from(indices).sort(), version }
}

/**
 * How a prompt begins, in blocks of tokens: `hashes[i]` stands for all tokens up to the end of block `i`. Salted by the
 * host, so that equal beginnings of different tenants are not equal here: no tenant's cache tells of another's.
 */
export interface PromptPrefix {
  readonly blockTokens: number
  readonly hashes: readonly number[]
}

/** All that the core may know of a request. Its content never gets here. */
export interface RequestFacts {
  readonly id: RequestId
  readonly tenant: TenantId
  /** Of the tenant's plan and the tier it may have; never from the client alone. */
  readonly serviceClass: ServiceClass
  readonly model: string
  readonly arrivedAtMs: number
  /** It waits for room no longer than this in all, however often it comes to wait. */
  readonly waitMsMax: number
  /** Nothing is dispatched for this request after this time, also no retry. */
  readonly deadlineMs: number
  /** Input: an upper bound until settled. Output: the caller's limit or a guess. */
  readonly tokens: TokenCount
  readonly eligible: Eligibility
  /** Requests with equal affinity share a prompt prefix or a conversation. */
  readonly affinity?: string
  /** Says what of the prompt a place may have in its cache; where it is given, it counts in place of the affinity. */
  readonly prefix?: PromptPrefix
}
