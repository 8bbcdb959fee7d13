import { type Document, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import type { z } from 'zod'
import type { Config, ConfigIssue, ConfigResult } from './config.ts'
import { nearest } from './nearest.ts'
import { configSchema, type ParsedConfig } from './schema.ts'

/** Promise P37. */
const textCharsMax = 4 * 1024 * 1024
const entriesMax = 10_000

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
  if (text.length > textCharsMax) return invalid([{ path: '', message: 'the file is larger than 4 MiB' }])
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false })
  if (document.errors.length > 0) {
    return invalid(document.errors.map(({ message, pos }) => ({ path: '', message, line: lines.linePos(pos[0]).line })))
  }
  const lineOf = (path: readonly PropertyKey[]) => lineAt(document, path, lines)
  let value: unknown
  try {
    // Few aliases are convenience, many are a bomb.
    value = document.toJS({ maxAliasCount: 100 })
  } catch (error) {
    return invalid([{ path: '', message: `the file cannot be read: ${(error as Error).message}` }])
  }
  if (value === null || value === undefined) return invalid([{ path: '', message: 'the file is empty' }])
  if (entries(value) > entriesMax)
    return invalid([{ path: '', message: `the file has more than ${entriesMax} entries` }])
  const parsed = configSchema.safeParse(value)
  if (!parsed.success) {
    const issues = parsed.error.issues.flatMap((issue) => issuesOf(issue, value))
    return invalid(issues.map(({ path, message }) => located(path, message, lineOf)))
  }
  const dangling = referenceIssues(parsed.data)
  if (dangling.length > 0) return invalid(dangling.map(({ path, message }) => located(path, message, lineOf)))
  const warnings = warningsOf(parsed.data).map(({ path, message }) => located(path, message, lineOf))
  return { kind: 'valid', config: complete(parsed.data, options), warnings }
}

interface Finding {
  readonly path: readonly PropertyKey[]
  readonly message: string
}

function invalid(issues: readonly ConfigIssue[]): ConfigResult {
  return { kind: 'invalid', issues }
}

function located(
  path: readonly PropertyKey[],
  message: string,
  lineOf: (path: readonly PropertyKey[]) => number | undefined,
): ConfigIssue {
  const line = lineOf(path)
  return { path: pathText(path), message, ...(line !== undefined && { line }) }
}

function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : `${index === 0 ? '' : '.'}${String(part)}`))
    .join('')
}

/** The line of the node at a path, or of the nearest one above it that stands in the file. */
function lineAt(document: Document, path: readonly PropertyKey[], lines: LineCounter): number | undefined {
  let node: unknown = document.contents
  let line: number | undefined
  for (const part of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part))
      if (pair === undefined) break
      line = lineOfNode(pair.key as Node, lines) ?? line
      node = pair.value
    } else if (isSeq(node)) {
      node = node.items[Number(part)]
      line = lineOfNode(node as Node | undefined, lines) ?? line
    } else break
  }
  return line
}

function lineOfNode(node: Node | undefined | null, lines: LineCounter): number | undefined {
  const start = node?.range?.[0]
  return start === undefined ? undefined : lines.linePos(start).line
}

function entries(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  let count = 0
  for (const child of Object.values(value)) count += 1 + entries(child)
  return count
}

function issuesOf(issue: z.core.$ZodIssue, root: unknown): Finding[] {
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(issue.path, root)
    return issue.keys.map((key) => {
      const meant = nearest(key, known)
      return {
        path: [...issue.path, key],
        message: `this key is not known${meant === undefined ? '' : `; did you mean ${meant}?`}`,
      }
    })
  }
  if (issue.code === 'invalid_union') {
    // A custom text says more than the branches do; for secrets it must not show what was written.
    if (issue.message !== 'Invalid input') return [{ path: issue.path, message: issue.message }]
    return issue.errors.flat().map((inner) => ({ path: [...issue.path, ...inner.path], message: inner.message }))
  }
  if (issue.code === 'invalid_key')
    return [
      {
        path: issue.path,
        message: `this name cannot be used: ${issue.issues.map(({ message }) => message).join('; ')}`,
      },
    ]
  const found = at(root, issue.path)
  if (found === undefined && issue.code === 'invalid_type')
    return [{ path: issue.path, message: 'this key is missing' }]
  return [{ path: issue.path, message: lowerFirst(issue.message) }]
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}

function at(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Record<PropertyKey, unknown>)[part]
  }
  return value
}

/** The keys that may stand at a path: found by walking the schema the way the value does. */
function knownKeys(path: readonly PropertyKey[], root: unknown): string[] {
  let schema: unknown = configSchema
  let value = root
  for (const part of path) {
    schema = child(unwrapped(schema, value), part)
    value = at(value, [part])
  }
  const last = unwrapped(schema, value)
  return last !== undefined && 'shape' in last ? Object.keys(last.shape as object) : []
}

interface SchemaParts {
  shape?: Record<string, unknown>
  element?: unknown
  valueType?: unknown
  options?: readonly unknown[]
  def: { innerType?: unknown }
}

function unwrapped(schema: unknown, value: unknown): SchemaParts | undefined {
  let current = schema as SchemaParts | undefined
  while (current !== undefined) {
    if (current.def.innerType !== undefined) current = current.def.innerType as SchemaParts
    else if (current.options !== undefined) {
      const kind = at(value, ['kind'])
      const options = current.options as readonly SchemaParts[]
      current =
        options.find((option) => (option.shape?.['kind'] as { value?: unknown } | undefined)?.value === kind) ??
        options.find((option) => option.shape !== undefined)
    } else return current
  }
  return undefined
}

function child(schema: SchemaParts | undefined, part: PropertyKey): unknown {
  if (schema === undefined) return undefined
  return schema.shape?.[String(part)] ?? schema.valueType ?? schema.element
}

/** What one part says about another: every name must be the name of something. */
function referenceIssues(config: ParsedConfig): Finding[] {
  const findings: Finding[] = []
  const missing = (path: PropertyKey[], what: string, wanted: string, known: object) => {
    const meant = nearest(wanted, Object.keys(known))
    findings.push({
      path,
      message: `there is no ${what} ${wanted}${meant === undefined ? '' : `; did you mean ${meant}?`}`,
    })
  }
  for (const [name, { endpoints }] of Object.entries(config.models)) {
    endpoints.forEach(({ provider }, index) => {
      if (!Object.hasOwn(config.providers, provider))
        missing(['models', name, 'endpoints', index, 'provider'], 'provider', provider, config.providers)
    })
  }
  for (const [name, { plan }] of Object.entries(config.tenants)) {
    if (!Object.hasOwn(config.plans, plan)) missing(['tenants', name, 'plan'], 'plan', plan, config.plans)
  }
  const listened = new Map([[`${config.listen.host}:${config.listen.port}`, 'listen']])
  if (
    config.metrics !== 'off' &&
    config.metrics.port !== 0 &&
    listened.has(`${config.metrics.host}:${config.metrics.port}`)
  ) {
    findings.push({
      path: ['metrics', 'port'],
      message: 'metrics cannot listen where the gateway does; choose another port',
    })
  }
  const keys = new Map<string, string>()
  for (const [name, tenant] of Object.entries(config.tenants)) {
    tenant.keys.forEach((key, index) => {
      const place = JSON.stringify(key)
      const other = keys.get(place)
      if (other !== undefined)
        findings.push({
          path: ['tenants', name, 'keys', index],
          message: `this key is ${other}'s too; a key belongs to one tenant`,
        })
      keys.set(place, name)
    })
  }
  for (const [name, provider] of Object.entries(config.providers)) {
    if (provider.kind === 'azure' && provider.apiKey === undefined && provider.credentials === undefined) {
      findings.push({ path: ['providers', name], message: 'add apiKey: { env: VARIABLE }, or credentials: entra' })
    }
  }
  return findings
}

/** Valid, but likely not what was meant. */
function warningsOf(config: ParsedConfig): Finding[] {
  const findings: Finding[] = []
  for (const [name, { countries, subProcessors }] of Object.entries(config.tenants)) {
    if (countries.length === 0)
      findings.push({
        path: ['tenants', name],
        message: 'no country is allowed, so nothing can serve this tenant; list countries, or write countries: any',
      })
    if (subProcessors.length === 0)
      findings.push({
        path: ['tenants', name],
        message:
          'no sub-processor is allowed, so nothing can serve this tenant; list subProcessors, or write subProcessors: any',
      })
  }
  const used = new Set(
    Object.values(config.models).flatMap(({ endpoints }) => endpoints.map(({ provider }) => provider)),
  )
  for (const name of Object.keys(config.providers))
    if (!used.has(name)) findings.push({ path: ['providers', name], message: 'no model uses this provider' })
  return findings
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
