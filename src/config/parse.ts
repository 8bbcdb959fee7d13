import type { Config, ConfigIssue, ConfigResult } from './config.ts'
import { placeholdersIn } from './placeholders.ts'
import { doubts, referenceFindings } from './references.ts'
import { configSchema, type ParsedConfig } from './schema.ts'
import { findingsOf } from './schema-issues.ts'
import { type Finding, pathText, readYaml } from './yaml-text.ts'

export interface ParseOptions {
  /** Relative paths in the file are relative to this. */
  readonly fileDir: string
  readonly joinPath: (dir: string, relative: string) => string
}

/**
 * Reads a configuration whole: either everything is valid, or every mistake is listed with its path and, where it can
 * be told, its line. Never throws.
 */
export function parseConfig(text: string, options: ParseOptions): ConfigResult {
  const yaml = readYaml(text)
  if (!('value' in yaml)) return { kind: 'invalid', issues: yaml }
  const { value } = yaml
  if (value === null || value === undefined)
    return { kind: 'invalid', issues: [{ path: '', message: 'the file is empty' }] }
  const locate = ({ path, message }: Finding): ConfigIssue => {
    const line = yaml.lineOf(path)
    return { path: pathText(path), message, ...(line !== undefined && { line }) }
  }
  const parsed = configSchema.safeParse(value)
  const leftOpen = placeholdersIn(value)
  const isLeftOpen = ({ path }: Finding) => leftOpen.some((other) => pathText(other.path) === pathText(path))
  const others = [
    ...(parsed.error?.issues ?? []).flatMap((issue) => findingsOf(issue, value)),
    ...referenceFindings(value),
  ]
  const findings = [...yaml.findings, ...leftOpen, ...others.filter((finding) => !isLeftOpen(finding))]
  if (parsed.data === undefined || findings.length > 0) return { kind: 'invalid', issues: findings.map(locate) }
  return { kind: 'valid', config: complete(parsed.data, options), warnings: doubts(parsed.data).map(locate), locate }
}

function complete(parsed: ParsedConfig, { fileDir, joinPath }: ParseOptions): Config {
  const { tls, eventLog } = parsed
  const models = Object.fromEntries(
    Object.entries(parsed.models).map(([name, model]) => [
      name,
      {
        ...model,
        endpoints: model.endpoints.map(({ usdPerMillionTokens: prices, ...endpoint }) => ({
          ...endpoint,
          // Without a price of its own a cached token is charged as any other.
          ...(prices && { usdPerMillionTokens: { ...prices, cachedInput: prices.cachedInput ?? prices.input } }),
        })),
      },
    ]),
  )
  const config = {
    ...parsed,
    models,
    dataDir: joinPath(fileDir, parsed.dataDir),
    ...(tls && { tls: { cert: joinPath(fileDir, tls.cert), key: joinPath(fileDir, tls.key) } }),
    ...(eventLog !== undefined && { eventLog: joinPath(fileDir, eventLog) }),
  }
  // Zod leaves optional keys out where they are absent, which is what the exact types ask for.
  return config as Config
}
