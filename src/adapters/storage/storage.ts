import type { TenantLimits } from '../../config/config.ts'
import type { JournalRecord, SettleState, TokenSource } from './journal-record.ts'

/** Writes records in order and says when they are safe. */
export interface Journal {
  /**
   * Appends records as one unit. `durable` runs after they, and all before them, were synced to the disk (group
   * commit), or with an error after which the journal takes no more until `healthy` is true again.
   */
  append(records: readonly JournalRecord[], durable?: (error?: Error) => void): void
  /** False while the disk is full or failing: nothing may be admitted. */
  readonly healthy: boolean
  onHealthChange(listener: (healthy: boolean, reason: string) => void): void
  /** Syncs what is pending and closes. */
  close(): Promise<void>
}

export interface TenantRow extends TenantLimits {
  readonly id: string
  readonly plan: string
  readonly countries: readonly string[] | 'any'
  readonly subProcessors: readonly string[] | 'any'
  readonly allowSubstitutes: boolean
  /** Rows from the config file are read-only elsewhere. */
  readonly origin: 'file' | 'database'
}

export interface KeyRow extends TenantLimits {
  /** `k_…`: names the key without telling it. */
  readonly id: string
  readonly tenant: string
  /** HMAC-SHA-256 of the key with the pepper, hex. */
  readonly digest: string
  /** The last four characters, for people. */
  readonly hint: string
  readonly label: string
  readonly createdWallMs: number
  readonly revokedWallMs: number | null
  readonly origin: 'file' | 'database'
}

/** Tenants and their keys. A key's text passes through once, at its making, and is never stored. */
export interface Directory {
  tenants(): readonly TenantRow[]
  keys(): readonly KeyRow[]
  /** Throws `SpillwayError` where the id exists. */
  addTenant(tenant: TenantRow): void
  /** The key's text is in the answer and nowhere else. */
  createKey(
    tenant: string,
    label: string,
    limits: TenantLimits,
    wallMs: number,
  ): { readonly key: string; readonly row: KeyRow }
  revokeKey(id: string, wallMs: number): void
  /** HMAC digest (hex) of a presented key. */
  digestOf(key: string): string
  /**
   * Replaces the rows that the configuration file gives, at once; they are read-only elsewhere. Throws, and changes
   * nothing, where an id or a key is given twice.
   */
  setFileRows(tenants: readonly TenantRow[], keys: readonly KeyRow[]): void
  /** Called after every change, in this process. */
  onChange(listener: () => void): void
}

/** One request as the ledger has it. */
export interface UsageRow {
  readonly id: string
  readonly wallMs: number
  readonly tenant: string
  readonly keyId: string
  readonly model: string
  /** As it was served; empty where it was refused before any try. */
  readonly tier: string
  readonly state: SettleState | 'refused' | 'open'
  readonly source: TokenSource | null
  /** True where tokens are not the vendor's word. */
  readonly estimated: boolean
  readonly inputTokens: number
  readonly cachedInputTokens: number
  readonly outputTokens: number
  readonly nanoUsd: number
  readonly attempts: number
  readonly endpoint: string | null
  readonly subProcessor: string | null
  readonly country: string | null
  /** What the caller saw; 499 where the caller had left, 0 while open. */
  readonly status: number
  readonly code: string | null
}

export interface UsageQuery {
  readonly fromWallMs?: number
  readonly toWallMs?: number
  readonly tenant?: string
  readonly groupBy: readonly ('tenant' | 'key' | 'model' | 'country' | 'sub-processor' | 'endpoint' | 'day' | 'state')[]
}

export interface UsageSum {
  readonly group: Readonly<Record<string, string>>
  readonly requests: number
  readonly inputTokens: number
  readonly cachedInputTokens: number
  readonly outputTokens: number
  readonly usd: number
}

/**
 * One account of the books. What tenants owe us (`tenant/…`, against `sales`) comes from requests, what we owe vendors
 * (`vendor/…`, against `purchases`) from attempts, those included that failed or were given up. All together are zero.
 */
export interface AccountBalance {
  readonly account: string
  readonly usd: number
}

/** The projection of the journal in SQLite: can be thrown away and built again. */
export interface Ledger {
  /** Up to which journal sequence it has read. */
  readonly cursor: number
  usage(query: UsageQuery): readonly UsageSum[]
  accounts(): readonly AccountBalance[]
  request(id: string): UsageRow | undefined
  /** All rows in order of id, for comparison in tests and export. */
  rows(tenant?: string): IterableIterator<UsageRow>
  /** As `rows`, a thousand at a time, so that reading them all stops nobody: those after an id; `next` where there are more. */
  page(afterId: string, tenant?: string): { readonly rows: readonly UsageRow[]; readonly next: string | null }
  /** Nano-dollars that each tenant or key spent in the calendar month (UTC) of a wall time. */
  spentNanoUsd(by: 'tenant' | 'key', wallMs: number): ReadonlyMap<string, number>
}

/** Everything one process keeps in its data directory, which it alone owns while open. */
export interface Storage {
  readonly journal: Journal
  readonly ledger: Ledger
  readonly directory: Directory
  /** Projects what the journal has beyond the cursor; runs by itself in the background. */
  project(): Promise<void>
  /** Throws the projection away and makes it again from the segments that are kept. */
  rebuild(onProgress?: (done: number, total: number) => void): Promise<{ readonly requests: number }>
  close(): Promise<void>
}
