import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { ConfigIssue, ConfigResult, ProviderConfig, SecretReference } from '../config/config.ts'

export type ResolvedSecret =
  | { readonly kind: 'found'; readonly value: string }
  | { readonly kind: 'missing'; readonly problem: string }

/** Reads a secret where its reference says it lies; `dir` is what relative paths are relative to. Line ends around it do not count. */
export function resolveSecret(
  reference: SecretReference,
  { env, dir }: { readonly env: Readonly<Record<string, string | undefined>>; readonly dir: string },
): ResolvedSecret {
  if ('env' in reference) {
    const value = env[reference.env]?.trim()
    if (value === undefined || value === '')
      return {
        kind: 'missing',
        problem: `the environment variable ${reference.env} is not set; set it, or take the line out`,
      }
    return { kind: 'found', value }
  }
  const file = path.resolve(dir, reference.file)
  try {
    const value = readFileSync(file, 'utf8').trim()
    return value === '' ? { kind: 'missing', problem: `the file ${file} is empty` } : { kind: 'found', value }
  } catch (error) {
    const reason =
      (error as NodeJS.ErrnoException).code === 'ENOENT'
        ? 'is not there'
        : `cannot be read (${(error as Error).message})`
    return { kind: 'missing', problem: `the file ${file} ${reason}` }
  }
}

/** Every secret that a configuration names and that is not there, with its place in the file. */
export function missingSecrets(
  { config, locate }: ConfigResult & { kind: 'valid' },
  where: { readonly env: Readonly<Record<string, string | undefined>>; readonly dir: string },
): ConfigIssue[] {
  const issues: ConfigIssue[] = []
  const check = (path: readonly PropertyKey[], reference: SecretReference | undefined): void => {
    const resolved = reference === undefined ? undefined : resolveSecret(reference, where)
    if (resolved?.kind === 'missing') issues.push(locate({ path, message: resolved.problem }))
  }
  for (const [name, provider] of Object.entries(config.providers)) {
    const { field, reference } = secretOf(provider)
    check(['providers', name, field], reference)
  }
  for (const [name, tenant] of Object.entries(config.tenants))
    for (const [index, key] of tenant.keys.entries()) check(['tenants', name, 'keys', index], key)
  return issues
}

/** The secret of a provider and the key it stands under. */
export function secretOf(provider: ProviderConfig): {
  readonly field: string
  readonly reference: SecretReference | undefined
} {
  switch (provider.kind) {
    case 'openai-compatible':
    case 'azure':
      return { field: 'apiKey', reference: provider.apiKey }
    case 'vertex':
    case 'bedrock':
      return { field: 'credentials', reference: provider.credentials }
  }
}
