import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import { Calendar } from '../../core/calendar.ts'
import type { TokenCount } from '../../core/request.ts'
import { attemptCostNanoUsd, type SettleState, type TokenSource } from './journal-record.ts'
import type { Ended, OpenRequest } from './open-requests.ts'
import type { AccountBalance, Ledger, UsageQuery, UsageRow, UsageSum } from './storage.ts'

const requestColumns =
  'id, seq, wall_ms, tenant, key_id, plan, model, operation, stream, state, source, input_tokens, cached_input_tokens, output_tokens, nano_usd, attempts, endpoint, sub_processor, country, status, code, first_byte_ms, duration_ms, policy_version, register_version, price_version, hold_nano_usd'
const attemptColumns =
  'id, n, seq, wall_ms, endpoint, sub_processor, country, upstream_model, failure, status, input_tokens, cached_input_tokens, output_tokens, nano_usd'

/** A row that is there already stays as it is: what the journal says twice is written once. */
function insert(table: string, columns: string, key: string): string {
  const places = columns.split(',').map(() => '?')
  return `insert into ${table} (${columns}) values (${places}) on conflict (${key}) do nothing`
}

const pageRows = 1_000

const groupColumns = {
  tenant: 'tenant',
  key: 'key_id',
  model: 'model',
  country: "coalesce(country, '')",
  'sub-processor': "coalesce(sub_processor, '')",
  endpoint: "coalesce(endpoint, '')",
  day: "strftime('%Y-%m-%d', wall_ms / 1000, 'unixepoch')",
  state: 'state',
} as const

/** Rows of the ledger database, keyed by request and attempt. */
export class SqliteLedger implements Ledger {
  readonly #open: () => ReadonlyMap<string, OpenRequest>
  #database: DatabaseSync
  readonly #calendar = new Calendar()
  #statements: Statements
  #cursor: number

  /** `open` gives the requests that the journal holds and the ledger not yet. */
  constructor(database: DatabaseSync, open: () => ReadonlyMap<string, OpenRequest>) {
    this.#open = open
    this.#database = database
    this.#statements = prepared(database)
    this.#cursor = cursorOf(database)
  }

  get cursor(): number {
    return this.#cursor
  }

  get isEmpty(): boolean {
    return this.#database.prepare('select 1 from requests limit 1').get() === undefined
  }

  /** Goes on with another database, which holds the same rows and more. */
  moveTo(database: DatabaseSync): void {
    this.#database = database
    this.#statements = prepared(database)
    this.#cursor = cursorOf(database)
  }

  /** Takes rows and the cursor in one transaction: both or neither. */
  write(ended: readonly Ended[], cursor: number): void {
    const spending = new Spending()
    this.#database.exec('begin')
    try {
      for (const one of ended) {
        if (one.kind === 'settled') this.#writeSettled(one, spending)
        else this.#statements.request.run(...refusedRow(one))
      }
      for (const { month, tenant, keyId, nanoUsd } of spending.sums)
        this.#statements.spending.run(month, tenant, keyId, nanoUsd)
      this.#statements.cursor.run(cursor)
      this.#database.exec('commit')
      this.#cursor = cursor
    } catch (error) {
      // On a full disk the database has ended the transaction itself.
      if (this.#database.isTransaction) this.#database.exec('rollback')
      throw error
    }
  }

  /** Brings everything written onto the disk itself. Gives false where a reader stands in the way. */
  sync(): boolean {
    return this.#database.prepare('pragma wal_checkpoint(full)').get()?.['busy'] === 0
  }

  usage({ fromWallMs, toWallMs, tenant, groupBy }: UsageQuery): readonly UsageSum[] {
    const where: string[] = []
    const values: SQLInputValue[] = []
    const filter = (sql: string, value: SQLInputValue | undefined) => {
      if (value === undefined) return
      where.push(sql)
      values.push(value)
    }
    filter('wall_ms >= ?', fromWallMs)
    filter('wall_ms < ?', toWallMs)
    filter('tenant = ?', tenant)
    const columns = groupBy.map((name, index) => `${groupColumns[name]} as g${index}`)
    const places = groupBy.map((_, index) => index + 1).join(', ')
    const rows = this.#database
      .prepare(
        `select ${[...columns, 'count(*) as requests', 'sum(input_tokens) as input', 'sum(cached_input_tokens) as cached', 'sum(output_tokens) as output', 'sum(nano_usd) / 1e9 as usd'].join(', ')}
         from requests ${where.length > 0 ? `where ${where.join(' and ')}` : ''} ${places === '' ? '' : `group by ${places} order by ${places}`}`,
      )
      .all(...values) as Record<string, string | number | null>[]
    return rows.map((row) => ({
      group: Object.fromEntries(groupBy.map((name, index) => [name, String(row[`g${index}`])])),
      requests: Number(row['requests']),
      inputTokens: Number(row['input']),
      cachedInputTokens: Number(row['cached']),
      outputTokens: Number(row['output']),
      usd: Number(row['usd']),
    }))
  }

  request(id: string): UsageRow | undefined {
    const row = this.#database.prepare('select * from requests where id = ?').get(id)
    if (row !== undefined) return usageRow(row as unknown as RequestRow)
    const open = this.#open().get(id)
    return open === undefined ? undefined : openRow(open)
  }

  *rows(tenant?: string): IterableIterator<UsageRow> {
    const statement = this.#database.prepare(
      `select * from requests ${tenant === undefined ? '' : 'where tenant = ?'} order by id`,
    )
    for (const row of statement.iterate(...(tenant === undefined ? [] : [tenant])))
      yield usageRow(row as unknown as RequestRow)
    for (const open of this.#open().values())
      if (tenant === undefined || open.admit.tenant === tenant) yield openRow(open)
  }

  page(afterId: string, tenant?: string): { readonly rows: readonly UsageRow[]; readonly next: string | null } {
    const found = this.#database
      .prepare(
        `select * from requests where id > ? ${tenant === undefined ? '' : 'and tenant = ?'} order by id limit ${pageRows}`,
      )
      .all(afterId, ...(tenant === undefined ? [] : [tenant]))
    const rows = found.map((row) => usageRow(row as unknown as RequestRow))
    if (rows.length === pageRows) return { rows, next: rows.at(-1)?.id ?? null }
    const open = [...this.#open().values()].filter(({ admit }) => tenant === undefined || admit.tenant === tenant)
    return { rows: [...rows, ...open.map(openRow)], next: null }
  }

  accounts(): readonly AccountBalance[] {
    const rows = this.#database
      .prepare('select account, sum(nano_usd) / 1e9 as usd from entries group by account order by account')
      .all()
    return rows.map((row) => ({ account: String(row['account']), usd: Number(row['usd']) }))
  }

  spentNanoUsd(by: 'tenant' | 'key', wallMs: number): ReadonlyMap<string, number> {
    const column = by === 'tenant' ? 'tenant' : 'key_id'
    // As a real number: a sum of money may pass what a safe integer holds, and its last digits do not matter here.
    const rows = this.#database
      .prepare(`select ${column} as id, sum(cast(nano_usd as real)) as spent from spending where month = ? group by 1`)
      .all(this.#calendar.monthOf(wallMs))
    return new Map(rows.map((row) => [String(row['id']), Number(row['spent'])]))
  }

  #writeSettled({ request: { seq, admit, attempts }, settle }: Ended & { kind: 'settled' }, spending: Spending): void {
    const answered = attempts.find(({ record }) => record.n === settle.n)?.record
    const { tokens } = settle
    const { changes } = this.#statements.request.run(
      admit.id,
      seq,
      admit.wallMs,
      admit.tenant,
      admit.keyId,
      admit.plan,
      admit.model,
      admit.operation,
      admit.stream ? 1 : 0,
      settle.state,
      settle.source,
      tokens.input,
      tokens.cachedInput,
      tokens.output,
      settle.nanoUsd,
      attempts.length,
      answered?.endpoint ?? null,
      answered?.subProcessor ?? null,
      answered?.country ?? null,
      settle.status,
      settle.code,
      settle.firstByteMs,
      settle.durationMs,
      admit.policyVersion,
      admit.registerVersion,
      admit.priceVersion,
      admit.holdNanoUsd,
    )
    // A row that was there before has been counted.
    if (changes > 0) spending.add(this.#calendar.monthOf(admit.wallMs), admit.tenant, admit.keyId, settle.nanoUsd)
    for (const { record, outcome } of attempts) {
      const billed: TokenCount | null =
        record.n === settle.n && outcome === undefined ? tokens : (outcome?.tokens ?? null)
      this.#statements.attempt.run(
        record.id,
        record.n,
        seq,
        record.wallMs,
        record.endpoint,
        record.subProcessor,
        record.country,
        record.upstreamModel,
        outcome?.failure ?? null,
        outcome?.status ?? null,
        billed?.input ?? null,
        billed?.cachedInput ?? null,
        billed?.output ?? null,
        billed === null || record.prices === null ? null : attemptCostNanoUsd(billed, record.prices),
      )
    }
  }
}

function refusedRow({ seq, refuse }: Ended & { kind: 'refused' }): SQLInputValue[] {
  const { id, wallMs, tenant, keyId, model, status, code } = refuse
  return [
    id,
    seq,
    wallMs,
    tenant,
    keyId,
    '',
    model,
    '',
    0,
    'refused',
    null,
    0,
    0,
    0,
    0,
    0,
    null,
    null,
    null,
    status,
    code,
    null,
    null,
    0,
    0,
    '',
    0,
  ]
}

/** What the requests of one transaction cost, by month, tenant and key. */
class Spending {
  readonly #sums = new Map<string, { month: number; tenant: string; keyId: string; nanoUsd: number }>()

  get sums() {
    return this.#sums.values()
  }

  add(month: number, tenant: string, keyId: string, nanoUsd: number): void {
    if (nanoUsd === 0) return
    const name = `${month} ${keyId} ${tenant}`
    const sum = this.#sums.get(name)
    if (sum === undefined) this.#sums.set(name, { month, tenant, keyId, nanoUsd })
    else sum.nanoUsd += nanoUsd
  }
}

interface Statements {
  readonly request: StatementSync
  readonly spending: StatementSync
  readonly attempt: StatementSync
  readonly cursor: StatementSync
}

function prepared(database: DatabaseSync): Statements {
  return {
    request: database.prepare(insert('requests', requestColumns, 'id')),
    spending: database.prepare(
      'insert into spending values (?, ?, ?, ?) on conflict do update set nano_usd = nano_usd + excluded.nano_usd',
    ),
    attempt: database.prepare(insert('attempts', attemptColumns, 'id, n')),
    cursor: database.prepare("update progress set seq = ? where name = 'cursor'"),
  }
}

function cursorOf(database: DatabaseSync): number {
  return (database.prepare("select seq from progress where name = 'cursor'").get() as { seq: number }).seq
}

interface RequestRow {
  readonly id: string
  readonly wall_ms: number
  readonly tenant: string
  readonly key_id: string
  readonly model: string
  readonly state: SettleState | 'refused'
  readonly source: TokenSource | null
  readonly input_tokens: number
  readonly cached_input_tokens: number
  readonly output_tokens: number
  readonly nano_usd: number
  readonly attempts: number
  readonly endpoint: string | null
  readonly sub_processor: string | null
  readonly country: string | null
  readonly status: number
  readonly code: string | null
}

function usageRow(row: RequestRow): UsageRow {
  return {
    id: row.id,
    wallMs: row.wall_ms,
    tenant: row.tenant,
    keyId: row.key_id,
    model: row.model,
    state: row.state,
    source: row.source,
    estimated: row.source !== null && row.source !== 'upstream',
    inputTokens: row.input_tokens,
    cachedInputTokens: row.cached_input_tokens,
    outputTokens: row.output_tokens,
    nanoUsd: row.nano_usd,
    attempts: row.attempts,
    endpoint: row.endpoint,
    subProcessor: row.sub_processor,
    country: row.country,
    status: row.status,
    code: row.code,
  }
}

function openRow({ admit, attempts }: OpenRequest): UsageRow {
  const last = attempts.at(-1)?.record
  return {
    id: admit.id,
    wallMs: admit.wallMs,
    tenant: admit.tenant,
    keyId: admit.keyId,
    model: admit.model,
    state: 'open',
    source: null,
    estimated: false,
    inputTokens: 0,
    cachedInputTokens: 0,
    outputTokens: 0,
    nanoUsd: 0,
    attempts: attempts.length,
    endpoint: last?.endpoint ?? null,
    subProcessor: last?.subProcessor ?? null,
    country: last?.country ?? null,
    status: 0,
    code: null,
  }
}
