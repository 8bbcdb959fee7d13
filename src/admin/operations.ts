import type { Storage, TenantRow, UsageQuery, UsageRow, UsageSum } from '../adapters/storage/storage.ts'
import type { TenantLimits } from '../config/config.ts'
import type { Clock } from '../core/clock.ts'

/** A key as it is listed: no digest. */
export interface KeyListing extends TenantLimits {
  readonly id: string
  readonly tenant: string
  readonly label: string
  readonly hint: string
  readonly createdWallMs: number
  readonly revokedWallMs: number | null
  readonly origin: 'file' | 'database'
}

/** What the command line may ask of a data directory, whoever has it open. Arguments and results are plain JSON. */
export interface Operations {
  'tenants.add'(tenant: Omit<TenantRow, 'origin'>): null
  'tenants.list'(argument: null): readonly TenantRow[]
  'keys.create'(options: { readonly tenant: string; readonly label: string; readonly limits: TenantLimits }): {
    readonly key: string
    readonly id: string
  }
  'keys.list'(argument: null): readonly KeyListing[]
  'keys.revoke'(id: string): null
  'usage.sum'(query: UsageQuery): Promise<readonly UsageSum[]>
  'usage.request'(id: string): Promise<UsageRow | null>
  /** All rows, or those of one tenant. */
  'usage.export'(tenant: string | null): Promise<readonly UsageRow[]>
  'usage.rebuild'(argument: null): Promise<{ readonly requests: number }>
}

/** The operations over an open data directory. */
export function operationsOn(storage: Storage, clock: Clock): Operations {
  const { directory, ledger } = storage
  return {
    'tenants.add'(tenant) {
      directory.addTenant({ ...tenant, origin: 'database' })
      return null
    },
    'tenants.list': () => directory.tenants(),
    'keys.create'({ tenant, label, limits }) {
      const { key, row } = directory.createKey(tenant, label, limits, clock.wallMs())
      return { key, id: row.id }
    },
    'keys.list': () => directory.keys().map(({ digest: _kept, ...listing }) => listing),
    'keys.revoke'(id) {
      directory.revokeKey(id, clock.wallMs())
      return null
    },
    async 'usage.sum'(query) {
      await storage.project()
      return ledger.usage(query)
    },
    async 'usage.request'(id) {
      await storage.project()
      return ledger.request(id) ?? null
    },
    async 'usage.export'(tenant) {
      await storage.project()
      return [...ledger.rows(tenant ?? undefined)]
    },
    'usage.rebuild': () => storage.rebuild(),
  }
}
