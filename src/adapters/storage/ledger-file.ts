import { renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { syncDirectory } from './disk.ts'
import { SqliteLedger } from './ledger.ts'
import { ledgerMigrations, migrate } from './migrations.ts'
import { OpenRequests, type OpenRequestsView } from './open-requests.ts'
import { listSegments } from './segments.ts'

const ledgerName = 'ledger.db'

/** Rows copied at once: a few milliseconds of the event loop. */
const rowsAtOnce = 1_000

/** The database of the ledger, which can be put in the place of itself, made anew. */
export class LedgerFile {
  readonly ledger: SqliteLedger
  readonly #file: string
  #database: DatabaseSync

  constructor(dataDir: string, open: () => OpenRequestsView) {
    this.#file = path.join(dataDir, ledgerName)
    removeDatabase(this.#nextFile)
    this.#database = openLedger(this.#file)
    this.ledger = new SqliteLedger(this.#database, open)
  }

  get #nextFile(): string {
    return `${this.#file}.next`
  }

  /**
   * Makes the ledger again beside itself, out of the journal that is kept and, for what is older, the rows there are,
   * and puts it in place when it is whole: who reads meanwhile, or after a crash, has the old one. `replay` writes what
   * the journal tells and gives the number of requests. Nothing else may write to the ledger meanwhile.
   */
  async replace(
    replay: (next: SqliteLedger) => Promise<number>,
    journalDir: string,
  ): Promise<{ readonly requests: number }> {
    removeDatabase(this.#nextFile)
    const next = openLedger(this.#nextFile)
    try {
      await copyOlder(next, this.#file, listSegments(journalDir)[0]?.firstSeq ?? this.ledger.cursor + 1)
      const requests = await replay(new SqliteLedger(next, () => new OpenRequests()))
      // Closing writes all of it into the one file, on the disk itself.
      next.exec('pragma synchronous = full')
      next.close()
      this.#database.close()
      renameSync(this.#nextFile, this.#file)
      syncDirectory(path.dirname(this.#file))
      this.#database = openLedger(this.#file)
      this.ledger.moveTo(this.#database)
      return { requests }
    } finally {
      if (next.isOpen) next.close()
      removeDatabase(this.#nextFile)
    }
  }

  close(): void {
    this.#database.close()
  }
}

/** Reads the ledger of a data directory that another process may have open; sees what that process has written. */
export function withLedgerFile<T>(dataDir: string, read: (ledger: SqliteLedger) => T): T {
  const database = new DatabaseSync(path.join(dataDir, ledgerName), { readOnly: true, timeout: 5_000 })
  try {
    return read(new SqliteLedger(database, () => new OpenRequests()))
  } finally {
    database.close()
  }
}

function openLedger(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 5_000 })
  try {
    // It can be made again from the journal, so it need not wait for the disk with each transaction.
    database.exec('pragma journal_mode = wal; pragma synchronous = normal')
    migrate(database, ledgerMigrations, ledgerName)
  } catch (error) {
    database.close()
    if (!isCorrupt(error)) throw error
    throw new Error(
      `${file} is damaged; move it away, and it is made again from the journal as far back as that is kept`,
    )
  }
  return database
}

/** SQLITE_CORRUPT and SQLITE_NOTADB. */
function isCorrupt(error: unknown): boolean {
  const { errcode } = error as { errcode?: number }
  return errcode === 11 || errcode === 26
}

function removeDatabase(file: string): void {
  for (const name of [file, `${file}-wal`, `${file}-shm`]) rmSync(name, { force: true })
}

/** Copies the rows of what began before `seq`: no segment that is kept tells all of it. */
async function copyOlder(next: DatabaseSync, oldFile: string, seq: number): Promise<void> {
  next.prepare('attach ? as old').run(oldFile)
  const month = `strftime('%Y', wall_ms / 1000, 'unixepoch') * 12 + strftime('%m', wall_ms / 1000, 'unixepoch') - 1`
  const spending = next.prepare(
    `insert into spending select ${month}, tenant, key_id, sum(nano_usd) from old.requests
       where id > ? and id <= ? and seq < ? and nano_usd > 0 group by 1, 2, 3
       on conflict do update set nano_usd = nano_usd + excluded.nano_usd`,
  )
  for (const table of ['requests', 'attempts']) {
    const pages = next.prepare(`select id as last from old.${table} where id > ? order by id limit 1 offset ?`)
    const copy = next.prepare(`insert into ${table} select * from old.${table} where id > ? and id <= ? and seq < ?`)
    for (let last = ''; ; ) {
      const page = pages.get(last, rowsAtOnce)?.['last'] as string | undefined
      copy.run(last, page ?? '\u{10ffff}', seq)
      if (table === 'requests') spending.run(last, page ?? '\u{10ffff}', seq)
      if (page === undefined) break
      last = page
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  next.exec('detach old')
}
