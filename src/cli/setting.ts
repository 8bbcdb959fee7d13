import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { createSecureContext } from 'node:tls'
import type { Directory } from '../adapters/storage/storage.ts'
import type { Config } from '../config/config.ts'
import { loadConfig } from './config-source.ts'
import { type FileRows, fileRows } from './file-rows.ts'
import type { PreparedProviders, ProviderSet } from './providers.ts'
import { secretOf } from './secrets.ts'

export interface Tls {
  readonly cert: Buffer
  readonly key: Buffer
}

/** A configuration and all that it names outside itself, read and found good, not yet in force. */
export interface Setting {
  readonly config: Config
  readonly rows: FileRows
  readonly tls: Tls | undefined
  readonly providers: PreparedProviders
  /** For the person who runs this: what is valid and yet likely not meant, and what is switched off and why. */
  readonly warnings: readonly string[]
  /** Equal for equal settings, those of the files that the configuration names included. */
  readonly fingerprint: string
}

/** Reads everything whole. Throws where any of it is not good; what was made ready by then is given up. */
export async function readSetting(
  configFile: string,
  env: Readonly<Record<string, string | undefined>>,
  directory: Directory,
  providerSet: ProviderSet,
): Promise<Setting> {
  const { config, warnings } = loadConfig(configFile)
  const dir = path.dirname(configFile)
  const rows = fileRows(config, env, dir, directory)
  const tls = readTls(config)
  const providers = await providerSet.prepare(config, dir)
  return {
    config,
    rows,
    tls,
    providers,
    fingerprint: fingerprint([config, rows, tls?.cert.toString(), tls?.key.toString(), providers.fingerprint]),
    warnings: [
      ...warnings.map(({ path: place, message }) => `${place}: ${message}`),
      ...rows.problems,
      ...planProblems(config, directory),
      ...providers.problems.map(({ provider, problem }) => `the provider ${provider} is switched off: ${problem}`),
    ],
  }
}

/** Tenants of the database know plans by name; one that a file no longer has counts as none. */
function planProblems({ plans }: Config, directory: Directory): string[] {
  return directory
    .tenants()
    .filter(({ origin, plan }) => origin === 'database' && !Object.hasOwn(plans, plan))
    .map(({ id, plan }) => `the tenant ${id} is on the plan ${plan}, which is not there: it is served with priority 0`)
}

/** A digest, since secrets are part of it. */
function fingerprint(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex')
}

function readTls({ tls }: Config): Tls | undefined {
  if (tls === undefined) return undefined
  try {
    const files = { cert: readFileSync(tls.cert), key: readFileSync(tls.key) }
    createSecureContext(files)
    return files
  } catch (error) {
    throw new Error(
      `tls: ${tls.cert} and ${tls.key} must be a certificate and its key (PEM): ${(error as Error).message}`,
    )
  }
}

/** The files that a configuration names: when one of them changes, all is read again. */
export function filesOf(configFile: string, { tls, providers, tenants }: Config): string[] {
  const references = [
    ...Object.values(providers).map((provider) => secretOf(provider).reference),
    ...Object.values(tenants).flatMap(({ keys }) => keys),
  ]
  const dir = path.dirname(configFile)
  return [
    configFile,
    ...(tls === undefined ? [] : [tls.cert, tls.key]),
    ...references.flatMap((secret) =>
      secret !== undefined && 'file' in secret ? [path.resolve(dir, secret.file)] : [],
    ),
  ]
}
