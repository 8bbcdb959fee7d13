import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Clock } from '../../core/clock.ts'
import { SqliteDirectory } from './directory.ts'
import { type Disk, realDisk } from './disk.ts'
import { FileJournal } from './journal.ts'
import { LedgerFile } from './ledger-file.ts'
import { DataDirInUseError, lockDataDir } from './lock.ts'
import { directoryMigrations, migrate } from './migrations.ts'
import { Projection } from './projection.ts'
import { settleLeftOver } from './recover.ts'
import type { Storage } from './storage.ts'

export interface StorageOptions {
  readonly dataDir: string
  readonly segmentBytesMax: number
  readonly retentionDays: number
  readonly clock: Clock
  /** Called when the journal can no longer be trusted: the process has to end. */
  readonly onFatal: (reason: string) => void
  /** Lines for the person who runs this. */
  readonly say?: (line: string) => void
  readonly disk?: Disk
}

const removeEveryMs = 60_000
const dayMs = 86_400_000

/**
 * Opens the data directory: takes the lock, brings the databases up to date, reads what the journal holds beyond the
 * ledger, and settles what a crash left open.
 */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  const parts = new AsyncDisposableStack()
  try {
    return await open(options, parts)
  } catch (error) {
    await parts.disposeAsync()
    if (isFull(error)) throw new Error(`the disk of ${options.dataDir} is full; make room, then start again`)
    throw error
  }
}

/** Of the system, or SQLITE_FULL. */
function isFull(error: unknown): boolean {
  const { code, errcode } = error as { code?: string; errcode?: number }
  return code === 'ENOSPC' || code === 'EDQUOT' || errcode === 13
}

/** `parts` gets whatever must be closed, in the order of opening. */
async function open(options: StorageOptions, parts: AsyncDisposableStack): Promise<Storage> {
  const { dataDir, clock, say = () => {} } = options
  const lock = takeDataDir(dataDir)
  parts.defer(() => lock.release())

  const keys = new DatabaseSync(path.join(dataDir, 'spillway.db'), { timeout: 5_000 })
  parts.defer(() => keys.close())
  keys.exec('pragma journal_mode = wal; pragma synchronous = full')
  migrate(keys, directoryMigrations, 'spillway.db')
  const directory = new SqliteDirectory(keys, path.join(dataDir, 'pepper'))

  const journalDir = path.join(dataDir, 'journal')
  const ledgerFile = new LedgerFile(dataDir, () => projection.open)
  parts.defer(() => ledgerFile.close())
  const projection: Projection = new Projection(ledgerFile.ledger, journalDir, say)
  const resume = projection.catchUp()
  parts.defer(() => projection.close())
  const journal = new FileJournal({
    dir: journalDir,
    segmentBytesMax: options.segmentBytesMax,
    disk: options.disk ?? realDisk,
    resume,
    onDurable: (entries) => projection.take(entries),
    onFatal: options.onFatal,
  })
  parts.defer(() => journal.close())
  await settleLeftOver(journal, projection.open.all(), clock)
  projection.flush()

  const removing = setInterval(
    () => projection.removeOld(options.retentionDays * dayMs, clock.wallMs()),
    removeEveryMs,
  ).unref()
  parts.defer(() => clearInterval(removing))
  return {
    journal,
    ledger: ledgerFile.ledger,
    directory,
    project: async () => projection.flush(),
    rebuild: (onProgress) =>
      projection.pausedWhile(() => ledgerFile.replace((next) => projection.replay(next, onProgress), journalDir)),
    close: () => parts.disposeAsync(),
  }
}

function takeDataDir(dataDir: string): { release(): void } {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 })
    return lockDataDir(dataDir)
  } catch (error) {
    if (error instanceof DataDirInUseError) throw error
    throw new Error(
      `the data directory ${dataDir} cannot be used: ${(error as Error).message}; see that it can be written to, or set another dataDir`,
    )
  }
}
