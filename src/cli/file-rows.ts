import { keyId } from '../adapters/storage/directory.ts'
import type { Directory, KeyRow, TenantRow } from '../adapters/storage/storage.ts'
import type { Config } from '../config/config.ts'
import { resolveSecret } from './secrets.ts'

/** The tenants and keys that a configuration file gives: read-only elsewhere. */
export interface FileRows {
  readonly tenants: readonly TenantRow[]
  readonly keys: readonly KeyRow[]
  /** Of keys: those that are left out since their secret is missing, and those that can be guessed. */
  readonly problems: readonly string[]
}

/** Below this a key can be tried out; those that `spillway keys create` makes have 50 characters. */
const keyCharsMin = 24

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
      if (resolved.value.length < keyCharsMin)
        problems.push(`tenants.${id}.keys[${index}] can be guessed: give it ${keyCharsMin} characters or more`)
      const digest = directory.digestOf(resolved.value)
      keys.push({
        id: keyId(digest),
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
