import type { TenantLimits } from '../../config/config.ts'
import { isCountryCode, meantCountry } from '../../config/countries.ts'
import { type Command, UsageError } from '../command.ts'
import { spelled } from '../command-line.ts'
import { withData } from '../control.ts'
import {
  actionIn,
  dataHelp,
  dataOptions,
  limitHelp,
  limitOptions,
  limitsIn,
  noWords,
  oneWord,
  readOptions,
} from '../options.ts'

export const command: Command = {
  name: 'tenants',
  summary: 'add and list tenants',
  usage: `spillway tenants add ID --plan PLAN --countries LIST|any --sub-processors LIST|any [limits]
spillway tenants list

A tenant's terms are law: its requests go to no country and no sub-processor outside them, whatever fails.

  --plan PLAN                 a plan of the configuration
  --countries GB,NL,NO        where its requests may be processed; any must be written
  --sub-processors a,b        by whom; any must be written
  --allow-substitutes         another model may answer in place of the one asked for
${limitHelp('the tenant')}
${dataHelp}`,
  async run(args, terminal) {
    const { values, positionals } = readOptions(args, {
      ...dataOptions,
      ...limitOptions,
      plan: { type: 'string' },
      countries: { type: 'string' },
      'sub-processors': { type: 'string' },
      'allow-substitutes': { type: 'boolean' },
    })
    const { action, rest } = actionIn(positionals, ['add', 'list'])
    switch (action) {
      case 'add': {
        const id = oneWord(rest, 'the id of the tenant')
        if (!/^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/.test(id))
          throw new UsageError('an id has letters, digits and . _ : - only')
        if (values.plan === undefined) throw new UsageError('--plan PLAN is missing')
        const countries = listOrAny('countries', values.countries)
        const subProcessors = listOrAny('sub-processors', values['sub-processors'])
        const wrong = countries === 'any' ? undefined : countries.find((code) => !isCountryCode(code))
        if (wrong !== undefined)
          throw new UsageError(
            `${wrong} is not a country code (ISO 3166-1 alpha-2)${meantCountry(wrong) === undefined ? '' : `; write ${meantCountry(wrong)}`}`,
          )
        const tenant = {
          id,
          plan: values.plan,
          countries,
          subProcessors,
          allowSubstitutes: values['allow-substitutes'] === true,
          ...limitsIn(values),
        }
        const { notes } = await withData(values, terminal, (call) => call('tenants.add', tenant))
        for (const note of notes) terminal.err(`warning: ${note}`)
        terminal.result(tenant, `${id} is added; make its first key: ${spelled(`keys create --tenant ${id}`)}`)
        return 0
      }
      case 'list': {
        noWords(rest)
        const tenants = await withData(values, terminal, (call) => call('tenants.list', null))
        const rows = tenants.map((one) => [
          one.id,
          one.plan,
          listed(one.countries),
          listed(one.subProcessors),
          limitsOf(one),
          one.origin === 'file' ? 'the file' : 'the database',
        ])
        terminal.result(
          tenants,
          tenants.length === 0
            ? 'no tenants; add one: spillway tenants add --help shows how'
            : terminal.table(['id', 'plan', 'countries', 'sub-processors', 'limits', 'from'], rows),
        )
        return 0
      }
    }
  },
}

function listOrAny(name: string, text: string | undefined): readonly string[] | 'any' {
  if (text === undefined) throw new UsageError(`--${name} is missing: a list, or any`)
  if (text === 'any') return 'any'
  return text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
}

/** Such as `200000 tokens/min, $500/month`; `none` where all are off. */
function limitsOf(limits: TenantLimits): string {
  const { tokensPerMinute, requestsPerMinute, concurrentRequests, budgetUsdPerMonth } = limits
  const parts = [
    ...(tokensPerMinute === undefined ? [] : [`${tokensPerMinute} tokens/min`]),
    ...(requestsPerMinute === undefined ? [] : [`${requestsPerMinute} requests/min`]),
    ...(concurrentRequests === undefined ? [] : [`${concurrentRequests} at once`]),
    ...(budgetUsdPerMonth === undefined ? [] : [`$${budgetUsdPerMonth}/month`]),
  ]
  return parts.join(', ') || 'none'
}

function listed(list: readonly string[] | 'any'): string {
  return list === 'any' ? 'any' : list.length === 0 ? 'none' : list.join(',')
}
