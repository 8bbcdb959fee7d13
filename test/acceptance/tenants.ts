import type { TenantTerms } from './join.ts'

/**
 * Where the gateway of the check runs. A place like any other, so every tenant has to allow it; none of the demo clouds
 * is there, so that allowing it adds no place to be served from.
 */
export const home = { country: 'IE', subProcessor: 'operator' } as const

export interface CheckTenant extends TenantTerms {
  readonly plan: 'enterprise' | 'team' | 'edu' | 'api'
}

/** Its terms leave one single place, the one that is made to fail. */
export const onlyBritish = 'only-british'

type Allowed = readonly string[] | 'any'

function tenant(id: string, plan: CheckTenant['plan'], countries: Allowed, subProcessors: Allowed): CheckTenant {
  return {
    id,
    plan,
    countries: countries === 'any' ? 'any' : [home.country, ...countries],
    subProcessors: subProcessors === 'any' ? 'any' : [home.subProcessor, ...subProcessors],
  }
}

/** Twenty tenants, no two with the same terms but the two that allow everything. */
export const tenants: readonly CheckTenant[] = [
  tenant('anywhere', 'enterprise', 'any', 'any'),
  tenant('anywhere-cheap', 'api', 'any', 'any'),
  tenant(onlyBritish, 'enterprise', ['GB'], ['microsoft']),
  tenant('british', 'team', ['GB'], ['microsoft', 'google-cloud']),
  tenant('british-or-own', 'edu', ['GB', 'NL'], ['microsoft', 'self']),
  tenant('own-machine', 'team', ['NL'], ['self']),
  tenant('gpu-cloud', 'api', ['NO'], ['coreweave']),
  tenant('norwegian', 'enterprise', ['NO'], 'any'),
  tenant('american-google', 'api', ['US'], ['google-cloud']),
  tenant('american', 'team', ['US'], 'any'),
  tenant('japanese', 'enterprise', ['JP'], ['microsoft', 'google-cloud']),
  tenant('northern', 'edu', ['NL', 'NO'], ['google-cloud', 'self', 'coreweave']),
  tenant('microsoft-anywhere', 'enterprise', 'any', ['microsoft']),
  tenant('google-anywhere', 'team', 'any', ['google-cloud']),
  tenant('british-american', 'api', ['GB', 'US'], ['microsoft']),
  tenant('north-sea', 'team', ['GB', 'NL', 'NO'], 'any'),
  tenant('pacific', 'edu', ['US', 'JP'], ['microsoft', 'google-cloud']),
  tenant('dutch', 'enterprise', ['NL'], ['microsoft', 'self']),
  tenant('islands', 'team', ['GB', 'JP'], ['microsoft', 'google-cloud']),
  tenant('no-hyperscaler', 'api', 'any', ['self', 'coreweave']),
]
