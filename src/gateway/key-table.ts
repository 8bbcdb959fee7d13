import { timingSafeEqual } from 'node:crypto'
import type { Budget } from '../adapters/limits/rate-limiter.ts'
import { keyId } from '../adapters/storage/directory.ts'
import type { Directory, KeyRow, TenantRow } from '../adapters/storage/storage.ts'
import { SpillwayError } from '../core/spillway-error.ts'
import type { HttpExchange } from './http/exchange.ts'

/** Who is asking: the key that was shown and the tenant it belongs to. */
export interface Caller {
  readonly key: KeyRow
  readonly tenant: TenantRow
  /** What bounds this caller: the tenant's limits and the key's own. */
  readonly budgets: readonly Budget[]
}

/** Valid keys shown lately, by their text: a busy client's key is digested once, not for every request. */
const seenMax = 10_000

interface Entry {
  readonly digest: Buffer
  readonly caller: Caller
}

/**
 * Knows every valid key by its digest. Follows the directory: a revoked key is gone with the next request. What is no
 * key is not remembered, so that a flood of them leaves nothing behind.
 */
export class KeyTable {
  readonly #directory: Directory
  #entries = new Map<string, Entry>()
  readonly #seen = new Map<string, Caller>()

  constructor(directory: Directory) {
    this.#directory = directory
    this.#read()
    directory.onChange(() => this.#read())
  }

  /** Whether the key of this id is valid now. */
  has(id: string): boolean {
    return this.#entries.has(id)
  }

  /** Throws 401 where no key, or none that is valid, was shown, or where another workspace than its own is named. */
  authenticate(exchange: HttpExchange): Caller {
    const caller = this.#callerOf(presentedKey(exchange))
    for (const name of workspaceHeaders) {
      const named = exchange.header(name)
      if (named === undefined || named === caller.tenant.id) continue
      throw new SpillwayError(
        'mismatched_organization',
        `the header ${name} names another workspace than the one of this key; leave it out`,
      )
    }
    return caller
  }

  #callerOf(key: string): Caller {
    const seen = this.#seen.get(key)
    if (seen !== undefined) return seen
    // Found by the digest's beginning and compared as a whole: no time depends on how much of a key was right.
    const digest = this.#directory.digestOf(key)
    const entry = this.#entries.get(keyId(digest))
    if (entry === undefined || !timingSafeEqual(entry.digest, Buffer.from(digest, 'hex')))
      throw new SpillwayError('invalid_api_key', 'this API key is not valid here, or was revoked')
    if (this.#seen.size >= seenMax) this.#seen.clear()
    this.#seen.set(key, entry.caller)
    return entry.caller
  }

  #read(): void {
    const tenants = new Map(this.#directory.tenants().map((tenant) => [tenant.id, tenant]))
    const entries = new Map<string, Entry>()
    for (const key of this.#directory.keys()) {
      const tenant = tenants.get(key.tenant)
      if (tenant === undefined || key.revokedWallMs !== null) continue
      const caller = { key, tenant, budgets: budgetsOf(tenant, key) }
      entries.set(key.id, { digest: Buffer.from(key.digest, 'hex'), caller })
    }
    this.#entries = entries
    this.#seen.clear()
  }
}

/** The official client sends these where its environment names an organisation or a project of OpenAI's. */
const workspaceHeaders = ['openai-organization', 'openai-project'] as const

function budgetsOf(tenant: TenantRow, key: KeyRow): Budget[] {
  return [budgetOf(`tenant/${tenant.id}`, tenant), budgetOf(`key/${key.id}`, key)]
}

function budgetOf(id: string, limits: TenantRow | KeyRow): Budget {
  return {
    id,
    ...(limits.requestsPerMinute !== undefined && { requestsPerMinute: limits.requestsPerMinute }),
    ...(limits.tokensPerMinute !== undefined && { tokensPerMinute: limits.tokensPerMinute }),
    ...(limits.concurrentRequests !== undefined && { concurrentRequests: limits.concurrentRequests }),
    ...(limits.budgetUsdPerMonth !== undefined && { usdPerMonth: limits.budgetUsdPerMonth }),
  }
}

/** A gateway key is taken in the header of any vendor's client; in two of them only if it is the same. */
function presentedKey(exchange: HttpExchange): string {
  let found: string | undefined
  const raw = exchange.rawHeaders
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    if (name.length < 7 || name.length > 14) continue
    const key = keyIn(name.toLowerCase(), raw[i + 1] as string)
    if (key === undefined) continue
    if (found !== undefined && found !== key) {
      throw new SpillwayError('invalid_request', 'two different API keys were sent; send one')
    }
    found = key
  }
  if (found === undefined || found === '') {
    throw new SpillwayError('missing_api_key', 'no API key was sent; send it as: Authorization: Bearer sk-spw-…')
  }
  return found
}

function keyIn(name: string, value: string): string | undefined {
  if (name === 'authorization') return /^bearer\s/i.test(value) ? value.slice(7).trim() : ''
  if (name === 'api-key' || name === 'x-api-key' || name === 'x-goog-api-key') return value
  return undefined
}
