import type { UsageQuery, UsageRow, UsageSum } from '../../adapters/storage/storage.ts'
import type { Operations } from '../../admin/operations.ts'
import { type Command, type Progress, type Terminal, UsageError } from '../command.ts'
import { withData } from '../control.ts'
import { actionIn, dataHelp, dataOptions, noWords, oneWord, readOptions } from '../options.ts'
import { isoOf } from '../wall-time.ts'

const groups = ['tenant', 'key', 'model', 'country', 'sub-processor', 'endpoint', 'day', 'state'] as const

export const command: Command = {
  name: 'usage',
  summary: 'what was used, by whom, where, for how much',
  usage: `spillway usage [--by tenant,model] [--from DATE] [--to DATE] [--tenant ID]
spillway usage request ID
spillway usage export [--tenant ID]
spillway usage accounts
spillway usage rebuild

Sums of requests, tokens and cost; or one request, by the x-request-id of its answer; or every request as CSV.
accounts lays what tenants owe for requests beside what vendors may bill for attempts, those that failed included.
rebuild throws the ledger away and makes it again from the journal.

  --by LIST                   of ${groups.join(', ')}
                              (default: tenant,model)
  --from DATE, --to DATE      UTC, such as 2026-11-01 (to: not included)
  --tenant ID                 only this one
${dataHelp}`,
  async run(args, terminal) {
    const { values, positionals } = readOptions(args, {
      ...dataOptions,
      by: { type: 'string' },
      from: { type: 'string' },
      to: { type: 'string' },
      tenant: { type: 'string' },
    })
    if (positionals.length === 0) {
      const query = queryOf(values)
      const sums = await withData(values, terminal, (call) => call('usage.sum', query))
      terminal.result(sums, sums.length === 0 ? 'nothing was used' : sumTable(sums, query.groupBy, terminal))
      return 0
    }
    const { action, rest } = actionIn(positionals, ['request', 'export', 'accounts', 'rebuild'])
    switch (action) {
      case 'request': {
        const id = oneWord(rest, 'the id of the request')
        const row = await withData(values, terminal, (call) => call('usage.request', id))
        if (row === null)
          throw new Error(`there is no request ${id} in the ledger; its id is the x-request-id of the answer`)
        terminal.result(row, requestText(row))
        return 0
      }
      case 'export': {
        noWords(rest)
        const all: UsageRow[] = []
        terminal.out(csvLine(columns.map(([name]) => name)))
        await withData(values, terminal, async (call) => {
          for (let after: string | null = ''; after !== null; ) {
            const page: UsagePage = await call('usage.export', { tenant: values.tenant ?? null, after })
            for (const row of page.rows) terminal.out(csvLine(columns.map(([, read]) => read(row))))
            if (terminal.json) all.push(...page.rows)
            after = page.next
          }
        })
        if (terminal.json) terminal.result(all, '')
        return 0
      }
      case 'accounts': {
        noWords(rest)
        const accounts = await withData(values, terminal, (call) => call('usage.accounts', null))
        const rows = accounts.map(({ account, usd }) => [account, usd.toFixed(6)])
        terminal.result(accounts, rows.length === 0 ? 'nothing was used' : terminal.table(['account', 'USD'], rows))
        return 0
      }
      case 'rebuild': {
        noWords(rest)
        let progress: Progress | undefined
        const made = await withData(values, terminal, (call) =>
          call('usage.rebuild', null, (done, total) => {
            progress ??= terminal.progress('rebuilding the ledger, segment', total)
            progress.update(done)
          }),
        )
        progress?.end()
        terminal.result(
          made,
          `the ledger was made again from the journal; it holds ${made.requests} ${made.requests === 1 ? 'request' : 'requests'}`,
        )
        return 0
      }
    }
  },
}

type UsagePage = Awaited<ReturnType<Operations['usage.export']>>

function sumTable(sums: readonly UsageSum[], groupBy: readonly string[], terminal: Terminal): string {
  const cells = ({ requests, inputTokens, cachedInputTokens, outputTokens, usd }: Omit<UsageSum, 'group'>) => [
    String(requests),
    String(inputTokens),
    String(cachedInputTokens),
    String(outputTokens),
    usd.toFixed(6),
  ]
  const total = { requests: 0, inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, usd: 0 }
  for (const sum of sums) {
    total.requests += sum.requests
    total.inputTokens += sum.inputTokens
    total.cachedInputTokens += sum.cachedInputTokens
    total.outputTokens += sum.outputTokens
    total.usd += sum.usd
  }
  const rows = sums.map((sum) => [...groupBy.map((name) => sum.group[name] ?? ''), ...cells(sum)])
  if (sums.length > 1) rows.push([...groupBy.map((_, index) => (index === 0 ? 'total' : '')), ...cells(total)])
  return terminal.table([...groupBy, 'requests', 'input tokens', 'of them cached', 'output tokens', 'USD'], rows)
}

function requestText(row: UsageRow): string {
  const place = row.endpoint === null ? 'no place' : `${row.endpoint} (${row.subProcessor}, ${row.country})`
  const tries = row.attempts === 1 ? '1 try' : `${row.attempts} tries`
  const tokens = `${row.inputTokens} in (${row.cachedInputTokens} cached), ${row.outputTokens} out${row.estimated ? ', estimated' : ''}`
  const lines = [
    ['request', row.id],
    ['at', isoOf(row.wallMs)],
    ['tenant', `${row.tenant}, key ${row.keyId}`],
    ['model', row.model],
    ['ended', `${row.state}, status ${row.status}${row.code === null ? '' : `, ${row.code}`}`],
    ['served by', `${place}, ${tries}`],
    ['tokens', tokens],
    ['cost', `$${usdOf(row)}`],
  ]
  return lines.map(([name = '', value]) => `${name.padEnd(10)} ${value}`).join('\n')
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
    return group
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

/** Exact: nano-dollars are whole. */
function usdOf({ nanoUsd }: UsageRow): string {
  return (nanoUsd / 1e9).toFixed(9)
}

const columns: readonly (readonly [name: string, cell: (row: UsageRow) => unknown])[] = [
  ['id', ({ id }) => id],
  ['time', ({ wallMs }) => isoOf(wallMs)],
  ['tenant', ({ tenant }) => tenant],
  ['key', ({ keyId }) => keyId],
  ['model', ({ model }) => model],
  ['state', ({ state }) => state],
  ['status', ({ status }) => status],
  ['code', ({ code }) => code],
  ['endpoint', ({ endpoint }) => endpoint],
  ['sub_processor', ({ subProcessor }) => subProcessor],
  ['country', ({ country }) => country],
  ['attempts', ({ attempts }) => attempts],
  ['input_tokens', ({ inputTokens }) => inputTokens],
  ['cached_input_tokens', ({ cachedInputTokens }) => cachedInputTokens],
  ['output_tokens', ({ outputTokens }) => outputTokens],
  ['token_source', ({ source }) => source],
  ['estimated', ({ estimated }) => estimated],
  ['usd', usdOf],
]

function csvLine(cells: readonly unknown[]): string {
  return cells
    .map((value) => {
      const text = String(value ?? '')
      return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
    })
    .join(',')
}
