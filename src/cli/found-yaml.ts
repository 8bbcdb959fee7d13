import type { Config } from '../config/config.ts'
import type { FoundCapacity } from './discover.ts'

/** What tells one place of a vendor from another. */
const identifying = ['baseUrl', 'project', 'region'] as const

/** What does not stand in the configuration yet. */
export function notYetIn(config: Config, found: readonly FoundCapacity[]): readonly FoundCapacity[] {
  const known = Object.values(config.providers).map((provider): Record<string, unknown> => ({ ...provider }))
  const same = (one: unknown, other: unknown): boolean => one === undefined || plain(one) === plain(other)
  return found.filter(
    ({ kind, fields }) =>
      !known.some(
        (provider) => provider['kind'] === kind && identifying.every((key) => same(fields[key], provider[key])),
      ),
  )
}

function plain(value: unknown): string {
  return String(value).replace(/\/+$/, '').replace('//localhost', '//127.0.0.1')
}

/**
 * A whole spillway.yaml that serves from what was found, or, beside a configuration, what is to be added to it. Its
 * placeholders are mistakes until somebody puts values in their place.
 */
export function foundYaml(found: readonly FoundCapacity[], whole: boolean): string {
  const providers = found.map(({ name, kind, fields }) => `  ${name}: ${flow({ kind, ...fields })}`)
  const clouds = found.filter(({ models }) => models.length === 0)
  const models = new Map<string, string[]>()
  for (const { name, kind } of clouds) {
    const upstreamModel = kind === 'azure' ? '<DEPLOYMENT>' : '<MODEL>'
    models.set('chat', [...(models.get('chat') ?? []), flow({ provider: name, upstreamModel })])
  }
  for (const { name, models: listed } of found)
    for (const upstreamModel of listed)
      models.set(upstreamModel, [...(models.get(upstreamModel) ?? []), flow({ provider: name, upstreamModel })])
  const listed = [...models].flatMap(([name, endpoints]) => [
    `  ${scalar(name)}:`,
    '    endpoints:',
    ...endpoints.map((endpoint) => `      - ${endpoint}`),
  ])
  return [
    ...(whole ? ['location: { country: <COUNTRY>, subProcessor: self }'] : []),
    'providers:',
    ...providers,
    'models:',
    ...(clouds.length > 1 ? ['  # Under one name: one model, wherever it runs.'] : []),
    ...listed,
    ...(whole ? ['tenants:', '  me: { plan: team, countries: any, subProcessors: any }'] : []),
  ].join('\n')
}

function flow(value: unknown): string {
  if (typeof value !== 'object' || value === null) return scalar(String(value))
  return `{ ${Object.entries(value)
    .map(([key, inner]) => `${key}: ${flow(inner)}`)
    .join(', ')} }`
}

/** Quoted unless every reader of YAML takes it for the same text; `NO` is false to some. */
function scalar(text: string): string {
  return /^(?:<[A-Z]+>|[A-Za-z][\w.-]*)$/.test(text) && !/^(?:y|n|no|yes|on|off|true|false|null)$/i.test(text)
    ? text
    : JSON.stringify(text)
}
