import { floorSumMax } from '../core/service-class.ts'
import { nearest } from './nearest.ts'
import { defaultListen, defaultMetrics, defaultPlans, type ParsedConfig } from './schema.ts'
import type { Finding, Path } from './yaml-text.ts'

/**
 * What one part of a file says about another: every name must be the name of something. Takes the data before it has
 * been found well-formed, so that these mistakes are told together with all others; what has the wrong shape is passed
 * over here.
 */
export function referenceFindings(root: unknown): Finding[] {
  const file = record(root)
  return [
    ...endpointFindings(file),
    ...planFindings(file),
    ...brownoutFindings(file),
    ...tenantFindings(file),
    ...credentialFindings(file),
    ...listenFindings(file),
  ]
}

function endpointFindings(file: Fields): Finding[] {
  const findings: Finding[] = []
  const providers = fields(file['providers'])
  if (providers === undefined) return []
  for (const [name, model] of Object.entries(record(file['models']))) {
    for (const [index, endpoint] of list(record(model)['endpoints']).entries()) {
      const { provider } = record(endpoint)
      const path = ['models', name, 'endpoints', index, 'provider']
      findings.push(...dangling(path, 'provider', provider, Object.keys(providers)))
    }
  }
  return findings
}

/** Every plan may use every model: together they cannot be promised more of one than there is. */
function planFindings(file: Fields): Finding[] {
  let sum = 0
  for (const plan of Object.values(record(file['plans']))) {
    for (const tier of Object.values(record(record(plan)['tiers']))) {
      const { floor } = record(tier)
      if (typeof floor === 'number') sum += floor
    }
  }
  if (sum <= floorSumMax) return []
  const message = `the floors of all plans and tiers come to ${Number(sum.toFixed(3))}, and there is no more than 1 of any model`
  return [{ path: ['plans'], message }]
}

/** Steps stand in the order in which they come into force, and lead from a model that there is to another. */
function brownoutFindings(file: Fields): Finding[] {
  const findings: Finding[] = []
  const models = Object.keys(record(file['models']))
  for (const [name, plan] of Object.entries(record(file['plans']))) {
    let last = 0
    for (const [index, step] of list(record(plan)['brownout']).entries()) {
      const path = ['plans', name, 'brownout', index]
      const { above, models: standIns } = record(step)
      if (typeof above === 'number') {
        if (above <= last)
          findings.push({ path: [...path, 'above'], message: `each step begins above the one before it, ${last}` })
        last = above
      }
      for (const [asked, served] of Object.entries(record(standIns))) {
        const at = [...path, 'models', asked]
        findings.push(...dangling(at, 'model', asked, models), ...dangling(at, 'model', served, models))
        if (asked === served) findings.push({ path: at, message: 'a model cannot stand in for itself' })
      }
    }
  }
  return findings
}

function tenantFindings(file: Fields): Finding[] {
  const findings: Finding[] = []
  const plans = Object.keys(fields(file['plans']) ?? defaultPlans)
  const owners = new Map<string, string>()
  for (const [name, tenant] of Object.entries(record(file['tenants']))) {
    const { plan, keys } = record(tenant)
    findings.push(...dangling(['tenants', name, 'plan'], 'plan', plan, plans))
    for (const [index, key] of list(keys).entries()) {
      const place = JSON.stringify(key)
      const owner = owners.get(place)
      const path = ['tenants', name, 'keys', index]
      if (owner !== undefined)
        findings.push({ path, message: `this key is ${owner}'s too; a key belongs to one tenant` })
      owners.set(place, name)
    }
  }
  return findings
}

function credentialFindings(file: Fields): Finding[] {
  const findings: Finding[] = []
  for (const [name, provider] of Object.entries(record(file['providers']))) {
    const { kind, apiKey, credentials } = record(provider)
    const path = ['providers', name]
    if (kind !== 'azure') continue
    if (apiKey === undefined && credentials === undefined)
      findings.push({ path, message: 'add apiKey: { env: VARIABLE }, or credentials: entra' })
    if (apiKey !== undefined && credentials !== undefined)
      findings.push({ path, message: 'give apiKey or credentials, not both' })
  }
  return findings
}

function listenFindings(file: Fields): Finding[] {
  const listen = { ...defaultListen, ...record(file['listen']) }
  if (file['metrics'] === 'off') return []
  const metrics = { ...defaultMetrics, ...record(file['metrics']) }
  const everywhere = [listen.host, metrics.host].some((host) => host === '0.0.0.0' || host === '::')
  if (metrics.port !== listen.port || metrics.port === 0 || (metrics.host !== listen.host && !everywhere)) return []
  return [
    { path: ['metrics', 'port'], message: 'metrics cannot listen where the gateway does; choose another port, or off' },
  ]
}

function dangling(path: Path, what: string, wanted: unknown, known: readonly string[]): Finding[] {
  if (typeof wanted !== 'string' || known.includes(wanted)) return []
  return [{ path, message: `there is no ${what} ${wanted.slice(0, 128)}${didYouMean(wanted, known)}` }]
}

function didYouMean(word: string, known: readonly string[]): string {
  const meant = nearest(word, known)
  return meant === undefined ? '' : `; did you mean ${meant}?`
}

type Fields = Readonly<Record<string, unknown>>

function fields(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined
}

function record(value: unknown): Fields {
  return fields(value) ?? {}
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

/** Valid, but likely not what was meant. */
export function doubts(config: ParsedConfig): Finding[] {
  const findings: Finding[] = []
  const doubt = (path: Path, message: string) => findings.push({ path, message })
  const places = Object.values(config.providers)
  const processors = [...new Set([config.location, ...places].map(({ subProcessor }) => subProcessor))]
  for (const [name, { countries, subProcessors }] of Object.entries(config.tenants)) {
    const path = ['tenants', name]
    if (countries.length === 0)
      doubt(path, 'no country is allowed, so nothing can serve this tenant; list countries, or write countries: any')
    if (subProcessors.length === 0)
      doubt(
        path,
        'no sub-processor is allowed, so nothing can serve this tenant; list them, or write subProcessors: any',
      )
    if (countries.length === 0 || subProcessors.length === 0) continue
    const { country, subProcessor } = config.location
    if (!allows(countries, country) || !allows(subProcessors, subProcessor))
      doubt(
        path,
        `this tenant does not allow ${subProcessor} in ${country}, where Spillway itself runs: it is refused here`,
      )
    if (subProcessors === 'any') continue
    for (const [index, id] of subProcessors.entries()) {
      if (!processors.includes(id))
        doubt(
          [...path, 'subProcessors', index],
          `no provider is of the sub-processor ${id}${didYouMean(id, processors)}`,
        )
    }
  }
  const used = new Set(
    Object.values(config.models).flatMap(({ endpoints }) => endpoints.map(({ provider }) => provider)),
  )
  for (const name of Object.keys(config.providers))
    if (!used.has(name)) doubt(['providers', name], 'no model uses this provider')
  return findings
}

function allows(allowed: readonly string[] | 'any', value: string): boolean {
  return allowed === 'any' || allowed.includes(value)
}
