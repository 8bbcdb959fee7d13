import type { AccountBalance, Storage, TenantRow, UsageQuery, UsageRow, UsageSum } from '../adapters/storage/storage.ts'
import type { Config, TenantLimits } from '../config/config.ts'
import { nearest } from '../config/nearest.ts'
import type { Clock } from '../core/clock.ts'
import { SpillwayError } from '../core/spillway-error.ts'

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

/** Is told how far an operation that takes long has come. */
export type OnProgress = (done: number, total: number) => void

/** What the command line may ask of a data directory, whoever has it open. Arguments and results are plain JSON. */
export interface Operations {
  /** `notes`: what is likely not meant. */
  'tenants.add'(tenant: Omit<TenantRow, 'origin'>): { readonly notes: readonly string[] }
  'tenants.list'(argument: null): readonly TenantRow[]
  'keys.create'(options: { readonly tenant: string; readonly label: string; readonly limits: TenantLimits }): {
    readonly key: string
    readonly id: string
  }
  'keys.list'(argument: null): readonly KeyListing[]
  'keys.revoke'(id: string): null
  /** Brings the ledger up to date with the journal. */
  'usage.project'(argument: null): Promise<null>
  'usage.sum'(query: UsageQuery): Promise<readonly UsageSum[]>
  'usage.accounts'(argument: null): Promise<readonly AccountBalance[]>
  'usage.request'(id: string): Promise<UsageRow | null>
  /** All rows or those of one tenant, by pages: `after` is the `next` of the page before. */
  'usage.export'(argument: {
    readonly tenant: string | null
    readonly after: string
  }): Promise<{ readonly rows: readonly UsageRow[]; readonly next: string | null }>
  'usage.rebuild'(argument: null, onProgress?: OnProgress): Promise<{ readonly requests: number }>
}

/** The operations over an open data directory. `config` gives what is in force; undefined where no file is known. */
export function operationsOn(storage: Storage, clock: Clock, config: () => Config | undefined): Operations {
  const { directory, ledger } = storage
  return {
    'tenants.add'(tenant) {
      const known = config()
      if (known !== undefined && !Object.hasOwn(known.plans, tenant.plan))
        throw new SpillwayError(
          'invalid_request',
          `there is no plan ${tenant.plan}; ${among(tenant.plan, Object.keys(known.plans))}`,
        )
      directory.addTenant({ ...tenant, origin: 'database' })
      return { notes: known === undefined ? [] : termNotes(tenant, known) }
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
    async 'usage.project'() {
      await storage.project()
      return null
    },
    async 'usage.accounts'() {
      await storage.project()
      return ledger.accounts()
    },
    async 'usage.sum'(query) {
      await storage.project()
      return ledger.usage(query)
    },
    async 'usage.request'(id) {
      await storage.project()
      return ledger.request(id) ?? null
    },
    async 'usage.export'({ tenant, after }) {
      await storage.project()
      return ledger.page(after, tenant ?? undefined)
    },
    'usage.rebuild': (_argument, onProgress) => storage.rebuild(onProgress),
  }
}

/** Terms that no provider of the configuration can meet: allowed, since one may come, but likely misspelt. */
function termNotes({ countries, subProcessors }: Omit<TenantRow, 'origin'>, config: Config): string[] {
  const places = Object.values(config.providers)
  const notKnown = (given: readonly string[] | 'any', known: readonly string[]): readonly string[] =>
    given === 'any' ? [] : given.filter((word) => !known.includes(word))
  const inUse = places.map(({ subProcessor }) => subProcessor)
  return [
    ...notKnown(
      countries,
      places.map(({ country }) => country),
    ).map((code) => `no provider is in ${code}`),
    ...notKnown(subProcessors, inUse).map((name) => `no provider is of ${name}; ${among(name, inUse)}`),
  ]
}

function among(word: string, known: readonly string[]): string {
  const meant = nearest(word, known)
  return meant === undefined ? `there are ${[...new Set(known)].join(', ') || 'none'}` : `did you mean ${meant}?`
}
