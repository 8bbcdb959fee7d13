import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Clock } from '../../core/clock.ts'
import { SqliteDirectory } from './directory.ts'
import { type Disk, realDisk } from './disk.ts'
import { FileJournal } from './journal.ts'
import { type JournalRecord, markWindowTokens } from './journal-record.ts'
import { lockDataDir } from './lock.ts'
import { directoryMigrations, ledgerMigrations, migrate } from './migrations.ts'
import type { OpenRequest } from './open-requests.ts'
import { Projection } from './projection.ts'
import type { Storage } from './storage.ts'

export interface StorageOptions {
  readonly dataDir: string
  readonly segmentBytesMax: number
  readonly retentionDays: number
  readonly clock: Clock
  /** Called when the journal can no longer be trusted: the process has to end. */
  readonly onFatal: (reason: string) => void
  readonly disk?: Disk
}

const removeEveryMs = 60_000
const dayMs = 86_400_000

/**
 * Opens the data directory: takes the lock, brings the databases up to date, reads what the journal holds beyond the
 * ledger, and settles what a crash left open.
 */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  const { dataDir, clock } = options
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const lock = lockDataDir(dataDir)
  const databases: DatabaseSync[] = []
  const open = (name: string, synchronous: string) => {
    const database = new DatabaseSync(path.join(dataDir, name), { timeout: 5_000 })
    databases.push(database)
    database.exec(`pragma journal_mode = wal; pragma synchronous = ${synchronous}`)
    return database
  }
  try {
    const keys = open('spillway.db', 'full')
    migrate(keys, directoryMigrations, 'spillway.db')
    // The ledger can be made again from the journal, so it need not wait for the disk with each transaction.
    const rows = open('ledger.db', 'normal')
    migrate(rows, ledgerMigrations, 'ledger.db')
    const projection = new Projection(rows, path.join(dataDir, 'journal'))
    const resume = projection.catchUp()
    const journal = new FileJournal({
      dir: path.join(dataDir, 'journal'),
      segmentBytesMax: options.segmentBytesMax,
      disk: options.disk ?? realDisk,
      resume,
      onDurable: (entries) => projection.take(entries),
      onFatal: options.onFatal,
    })
    await settleLeftOver(journal, projection, clock)
    const removing = setInterval(
      () => projection.removeOld(options.retentionDays * dayMs, clock.wallMs()),
      removeEveryMs,
    ).unref()
    return {
      journal,
      ledger: projection.ledger,
      directory: new SqliteDirectory(keys, path.join(dataDir, 'pepper')),
      project: async () => projection.flush(),
      rebuild: (onProgress) => projection.rebuild(onProgress),
      async close() {
        clearInterval(removing)
        await journal.close()
        projection.close()
        for (const database of databases) database.close()
        lock.release()
      },
    }
  } catch (error) {
    for (const database of databases) database.close()
    lock.release()
    throw error
  }
}

/** Requests that were open when the process ended: each ends in exactly one settlement, never below what was delivered. */
async function settleLeftOver(journal: FileJournal, projection: Projection, clock: Clock): Promise<void> {
  const records = [...projection.open.values()].map((request) => recoveredSettlement(request, clock.wallMs()))
  if (records.length === 0) return
  await new Promise<void>((resolve, reject) =>
    journal.append(records, (error) => (error === undefined ? resolve() : reject(error))),
  )
  projection.flush()
}

/** What a request that was cut by a crash is charged: its last mark, or the first window where none was written yet. */
export function recoveredSettlement({ admit, attempts, marked }: OpenRequest, wallMs: number): JournalRecord {
  const last = attempts.at(-1)
  const answering = last !== undefined && last.outcome === undefined
  const output = answering ? Math.max(marked, markWindowTokens) : 0
  const input = answering ? admit.inputTokens : 0
  const prices = last?.record.prices
  return {
    kind: 'settle',
    id: admit.id,
    n: last?.record.n ?? 0,
    wallMs,
    state: answering ? 'partial' : 'failed',
    source: 'recovered',
    tokens: { input, cachedInput: 0, output },
    nanoUsd: answering && prices ? Math.round(input * prices.input + output * prices.output) : 0,
    status: answering ? 200 : 503,
    code: 'recovered',
    firstByteMs: null,
    durationMs: Math.max(0, wallMs - admit.wallMs),
  }
}
