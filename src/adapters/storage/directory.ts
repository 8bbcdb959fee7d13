import { createHmac, randomBytes } from 'node:crypto'
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs'
import path from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import type { TenantLimits } from '../../config/config.ts'
import { SpillwayError } from '../../core/spillway-error.ts'
import { syncDirectory } from './disk.ts'
import type { Directory, KeyRow, TenantRow } from './storage.ts'

const keyPrefix = 'sk-spw-'
const keyBytes = 32
const pepperBytes = 32

/** Tenants and keys: those of the database and those of the configuration file. */
export class SqliteDirectory implements Directory {
  readonly #database: DatabaseSync
  readonly #pepper: Buffer
  readonly #listeners: (() => void)[] = []
  #fileTenants: readonly TenantRow[] = []
  #fileKeys: readonly KeyRow[] = []

  /** `pepperFile` holds the secret of the digests: a copy of the database alone proves no key. */
  constructor(database: DatabaseSync, pepperFile: string) {
    this.#database = database
    if (!existsSync(pepperFile)) {
      const { count } = database.prepare('select count(*) as count from keys').get() as { count: number }
      if (count > 0)
        throw new Error(
          `${pepperFile} is missing, and without it no key of the database works; restore it from a backup`,
        )
      makePepper(pepperFile)
    }
    this.#pepper = readFileSync(pepperFile)
    if (this.#pepper.length < pepperBytes)
      throw new Error(`${pepperFile} is cut short, and without it no key works; restore it from a backup`)
  }

  tenants(): readonly TenantRow[] {
    const rows = this.#database.prepare('select * from tenants order by id').all() as unknown as TenantTableRow[]
    return [...this.#fileTenants, ...rows.map(tenantRow)]
  }

  keys(): readonly KeyRow[] {
    return [...this.#fileKeys, ...this.#databaseKeys()]
  }

  addTenant(tenant: TenantRow): void {
    const { id, plan, countries, subProcessors, allowSubstitutes } = tenant
    if (this.tenants().some((other) => other.id === id))
      throw new SpillwayError('invalid_request', `there is a tenant ${id} already; choose another id`)
    this.#database
      .prepare(
        'insert into tenants (id, plan, countries, sub_processors, allow_substitutes, limits) values (?, ?, ?, ?, ?, ?)',
      )
      .run(
        id,
        plan,
        JSON.stringify(countries),
        JSON.stringify(subProcessors),
        allowSubstitutes ? 1 : 0,
        JSON.stringify(limitsOf(tenant)),
      )
    this.#changed()
  }

  createKey(
    tenant: string,
    label: string,
    limits: TenantLimits,
    wallMs: number,
  ): { readonly key: string; readonly row: KeyRow } {
    if (!this.tenants().some(({ id }) => id === tenant)) {
      throw new SpillwayError(
        'invalid_request',
        `there is no tenant ${tenant}; spillway tenants list shows those there are`,
      )
    }
    const key = keyPrefix + randomBytes(keyBytes).toString('base64url')
    const digest = this.digestOf(key)
    const row: KeyRow = {
      id: keyId(digest),
      tenant,
      digest,
      hint: key.slice(-4),
      label,
      createdWallMs: wallMs,
      revokedWallMs: null,
      origin: 'database',
      ...limitsOf(limits),
    }
    this.#database
      .prepare(
        'insert into keys (id, tenant, digest, hint, label, limits, created_wall_ms) values (?, ?, ?, ?, ?, ?, ?)',
      )
      .run(row.id, tenant, digest, row.hint, label, JSON.stringify(limitsOf(limits)), wallMs)
    this.#changed()
    return { key, row }
  }

  revokeKey(id: string, wallMs: number): void {
    if (this.#fileKeys.some((key) => key.id === id)) {
      throw new SpillwayError('invalid_request', `the key ${id} comes from the configuration file; take it out there`)
    }
    const { changes } = this.#database
      .prepare('update keys set revoked_wall_ms = ? where id = ? and revoked_wall_ms is null')
      .run(wallMs, id)
    if (changes === 0)
      throw new SpillwayError('not_found', `there is no valid key ${id}; spillway keys list shows those there are`)
    this.#changed()
  }

  digestOf(key: string): string {
    return createHmac('sha256', this.#pepper).update(key).digest('hex')
  }

  setFileRows(tenants: readonly TenantRow[], keys: readonly KeyRow[]): void {
    const ids = new Set(
      this.#database
        .prepare('select id from tenants')
        .all()
        .map(({ id }) => String(id)),
    )
    const clash = tenants.find(({ id }) => ids.has(id))
    if (clash !== undefined) {
      throw new SpillwayError(
        'invalid_request',
        `the tenant ${clash.id} of the configuration file stands in the database too; rename one of them`,
      )
    }
    const owners = new Map(this.#databaseKeys().map(({ digest, tenant }) => [digest, tenant]))
    for (const { digest, tenant, label } of keys) {
      const owner = owners.get(digest)
      if (owner !== undefined) {
        throw new SpillwayError(
          'invalid_request',
          `the key ${label} of the tenant ${tenant} in the configuration file is a key of ${owner} already; give each its own`,
        )
      }
      owners.set(digest, tenant)
    }
    this.#fileTenants = tenants
    this.#fileKeys = keys
    this.#changed()
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  #databaseKeys(): KeyRow[] {
    const rows = this.#database.prepare('select * from keys order by created_wall_ms, id').all()
    return (rows as unknown as KeyTableRow[]).map(keyRow)
  }

  #changed(): void {
    for (const listener of this.#listeners) listener()
  }
}

/** On the disk before any key is: a power cut must not leave keys without it. */
function makePepper(file: string): void {
  const fd = openSync(file, 'wx', 0o600)
  try {
    writeSync(fd, randomBytes(pepperBytes))
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  syncDirectory(path.dirname(file))
}

/** Names a key in the ledger: the same after a restart, and telling nothing that the digest does not. */
export function keyId(digest: string): string {
  return `k_${digest.slice(0, 16)}`
}

function limitsOf({
  tokensPerMinute,
  requestsPerMinute,
  concurrentRequests,
  budgetUsdPerMonth,
}: TenantLimits): TenantLimits {
  return {
    ...(tokensPerMinute !== undefined && { tokensPerMinute }),
    ...(requestsPerMinute !== undefined && { requestsPerMinute }),
    ...(concurrentRequests !== undefined && { concurrentRequests }),
    ...(budgetUsdPerMonth !== undefined && { budgetUsdPerMonth }),
  }
}

interface TenantTableRow {
  readonly id: string
  readonly plan: string
  readonly countries: string
  readonly sub_processors: string
  readonly allow_substitutes: number
  readonly limits: string
}

function tenantRow(row: TenantTableRow): TenantRow {
  return {
    id: row.id,
    plan: row.plan,
    countries: JSON.parse(row.countries) as TenantRow['countries'],
    subProcessors: JSON.parse(row.sub_processors) as TenantRow['subProcessors'],
    allowSubstitutes: row.allow_substitutes === 1,
    ...(JSON.parse(row.limits) as TenantLimits),
    origin: 'database',
  }
}

interface KeyTableRow {
  readonly id: string
  readonly tenant: string
  readonly digest: string
  readonly hint: string
  readonly label: string
  readonly limits: string
  readonly created_wall_ms: number
  readonly revoked_wall_ms: number | null
}

function keyRow(row: KeyTableRow): KeyRow {
  return {
    id: row.id,
    tenant: row.tenant,
    digest: row.digest,
    hint: row.hint,
    label: row.label,
    createdWallMs: row.created_wall_ms,
    revokedWallMs: row.revoked_wall_ms,
    ...(JSON.parse(row.limits) as TenantLimits),
    origin: 'database',
  }
}
