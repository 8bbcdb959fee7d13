import type { Directory, KeyRow, TenantRow } from '../adapters/storage/storage.ts'
import type { Config } from '../config/config.ts'
import { resolveSecret } from './secrets.ts'

/** The tenants and keys that a configuration file gives: read-only elsewhere. */
export interface FileRows {
  readonly tenants: readonly TenantRow[]
  readonly keys: readonly KeyRow[]
  /** Keys that are left out since their secret is missing, in words. */
  readonly problems: readonly string[]
}

/** What the file gives; a key whose secret is missing is left out. */
export function fileRows(
  config: Config,
  env: Readonly<Record<string, string | undefined>>,
  dir: string,
  directory: Directory,
): FileRows {
  const tenants: TenantRow[] = []
  const keys: KeyRow[] = []
  const problems: string[] = []
  for (const [id, { keys: references, ...tenant }] of Object.entries(config.tenants)) {
    tenants.push({ id, ...tenant, origin: 'file' })
    references.forEach((reference, index) => {
      const resolved = resolveSecret(reference, { env, dir })
      if (resolved.kind === 'missing') {
        problems.push(`tenants.${id}.keys[${index}] is left out: ${resolved.problem}`)
        return
      }
      const digest = directory.digestOf(resolved.value)
      keys.push({
        // Stable over restarts, so that the ledger knows the key again.
        id: `k_${digest.slice(0, 16)}`,
        tenant: id,
        digest,
        hint: resolved.value.slice(-4),
        label: 'env' in reference ? reference.env : 'file',
        createdWallMs: 0,
        revokedWallMs: null,
        origin: 'file',
      })
    })
  }
  return { tenants, keys, problems }
}
