import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import { Calendar } from '../../core/calendar.ts'
import {
  attemptColumns,
  attemptRow,
  openRow,
  type RequestTableRow,
  refusedRow,
  requestColumns,
  settledRow,
  usageRow,
} from './ledger-rows.ts'
import type { Ended, OpenRequestsView } from './open-requests.ts'
import type { AccountBalance, Ledger, UsageQuery, UsageRow, UsageSum } from './storage.ts'

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
  readonly #open: () => OpenRequestsView
  #database: DatabaseSync
  readonly #calendar = new Calendar()
  #statements: Statements
  #cursor: number

  /** `open` gives the requests that the journal holds and the ledger not yet. */
  constructor(database: DatabaseSync, open: () => OpenRequestsView) {
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
    if (row !== undefined) return usageRow(row as unknown as RequestTableRow)
    const open = this.#open().get(id)
    return open === undefined ? undefined : openRow(open)
  }

  *rows(tenant?: string): IterableIterator<UsageRow> {
    const statement = this.#database.prepare(
      `select * from requests ${tenant === undefined ? '' : 'where tenant = ?'} order by id`,
    )
    for (const row of statement.iterate(...(tenant === undefined ? [] : [tenant])))
      yield usageRow(row as unknown as RequestTableRow)
    for (const open of this.#open().all()) if (tenant === undefined || open.admit.tenant === tenant) yield openRow(open)
  }

  page(afterId: string, tenant?: string): { readonly rows: readonly UsageRow[]; readonly next: string | null } {
    const found = this.#database
      .prepare(
        `select * from requests where id > ? ${tenant === undefined ? '' : 'and tenant = ?'} order by id limit ${pageRows}`,
      )
      .all(afterId, ...(tenant === undefined ? [] : [tenant]))
    const rows = found.map((row) => usageRow(row as unknown as RequestTableRow))
    if (rows.length === pageRows) return { rows, next: rows.at(-1)?.id ?? null }
    const open = this.#open()
      .all()
      .filter(({ admit }) => tenant === undefined || admit.tenant === tenant)
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

  #writeSettled({ request, settle }: Ended & { kind: 'settled' }, spending: Spending): void {
    const { admit } = request
    const { changes } = this.#statements.request.run(...settledRow(request, settle))
    // A row that was there before has been counted.
    if (changes > 0) spending.add(this.#calendar.monthOf(admit.wallMs), admit.tenant, admit.keyId, settle.nanoUsd)
    for (const attempt of request.attempts) this.#statements.attempt.run(...attemptRow(request.seq, attempt, settle))
  }
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

/** A row that is there already stays as it is: what the journal says twice is written once. */
function insert(table: string, columns: string, key: string): string {
  const places = columns.split(',').map(() => '?')
  return `insert into ${table} (${columns}) values (${places}) on conflict (${key}) do nothing`
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
