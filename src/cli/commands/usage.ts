import type { UsageQuery, UsageRow } from '../../adapters/storage/storage.ts'
import { type Command, UsageError } from '../command.ts'
import { withData } from '../control.ts'
import { dataOptions, oneWord, readOptions } from '../options.ts'

const groups = ['tenant', 'key', 'model', 'country', 'sub-processor', 'endpoint', 'day', 'state'] as const
type Group = (typeof groups)[number]

export const command: Command = {
  name: 'usage',
  summary: 'what was used, by whom, where, for how much',
  usage: `spillway usage [--by tenant,model] [--from DATE] [--to DATE] [--tenant ID]
spillway usage request ID
spillway usage export [--tenant ID] [--csv]
spillway usage rebuild

  --by LIST                     of ${groups.join(', ')} (default: tenant,model)
  --from DATE, --to DATE        UTC, such as 2026-11-01 (to: not included)
  --config FILE, --data DIR     whose data (default: ./spillway.yaml, else the demo's)

rebuild throws the ledger away and makes it again from the journal.`,
  async run(args, terminal) {
    const { values, positionals } = readOptions(args, {
      ...dataOptions,
      by: { type: 'string' },
      from: { type: 'string' },
      to: { type: 'string' },
      tenant: { type: 'string' },
      csv: { type: 'boolean' },
    })
    const [action, ...words] = positionals
    switch (action) {
      case undefined: {
        const query = queryOf(values)
        const sums = await withData(values, terminal, (call) => call('usage.sum', query))
        const rows = sums.map((sum) => [
          ...query.groupBy.map((name) => sum.group[name] ?? ''),
          String(sum.requests),
          String(sum.inputTokens),
          String(sum.cachedInputTokens),
          String(sum.outputTokens),
          sum.usd.toFixed(6),
        ])
        terminal.result(
          sums,
          rows.length === 0
            ? 'nothing was used'
            : terminal.table([...query.groupBy, 'requests', 'input', 'cached', 'output', 'USD'], rows),
        )
        return 0
      }
      case 'request': {
        const id = oneWord(words, 'the id of the request')
        const row = await withData(values, terminal, (call) => call('usage.request', id))
        if (row === null)
          throw new Error(`there is no request ${id} in the ledger; its id is the x-request-id of the answer`)
        terminal.result(
          row,
          Object.entries(row)
            .map(([name, value]) => `${name.padEnd(18)} ${String(value ?? '-')}`)
            .join('\n'),
        )
        return 0
      }
      case 'export': {
        const rows = await withData(values, terminal, (call) => call('usage.export', values.tenant ?? null))
        terminal.result(rows, csv(rows))
        return 0
      }
      case 'rebuild': {
        const progress = terminal.progress('rebuilding the ledger', 1)
        const made = await withData(values, terminal, (call) => call('usage.rebuild', null))
        progress.end()
        terminal.result(made, `the ledger was made again from the journal: ${made.requests} requests`)
        return 0
      }
      default:
        throw new UsageError(`there is no action ${action}`)
    }
  },
}

function queryOf(values: {
  by?: string | undefined
  from?: string | undefined
  to?: string | undefined
  tenant?: string | undefined
}): UsageQuery {
  const groupBy = (values.by ?? 'tenant,model').split(',').map((name) => {
    const group = groups.find((known) => known === name.trim())
    if (group === undefined) throw new UsageError(`--by takes ${groups.join(', ')}, not ${JSON.stringify(name)}`)
    return group satisfies Group
  })
  const fromWallMs = dateMs('from', values.from)
  const toWallMs = dateMs('to', values.to)
  return {
    groupBy,
    ...(fromWallMs !== undefined && { fromWallMs }),
    ...(toWallMs !== undefined && { toWallMs }),
    ...(values.tenant !== undefined && { tenant: values.tenant }),
  }
}

function dateMs(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = Date.parse(text)
  if (Number.isNaN(value))
    throw new UsageError(`--${name} takes a date such as 2026-11-01, not ${JSON.stringify(text)}`)
  return value
}

function csv(rows: readonly UsageRow[]): string {
  const columns = [
    'id',
    'wallMs',
    'tenant',
    'keyId',
    'model',
    'state',
    'source',
    'estimated',
    'inputTokens',
    'cachedInputTokens',
    'outputTokens',
    'nanoUsd',
    'attempts',
    'endpoint',
    'subProcessor',
    'country',
    'status',
    'code',
  ] as const
  const cell = (value: unknown) => {
    const text = String(value ?? '')
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  }
  return [columns.join(','), ...rows.map((row) => columns.map((name) => cell(row[name])).join(','))].join('\n')
}
