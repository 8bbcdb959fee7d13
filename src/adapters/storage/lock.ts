import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** A command that reads or changes something has the directory for a moment: a process that starts waits so long for it. */
const commandMs = 250

/**
 * Makes this process the only one that has the data directory open. The lock is SQLite's own exclusive file lock,
 * which the system takes away with the process, however it ends: there is no stale lock to clean up.
 */
export function lockDataDir(dataDir: string): { release(): void } {
  const ownerFile = path.join(dataDir, 'owner')
  const database = new DatabaseSync(path.join(dataDir, 'lock.db'), { timeout: commandMs })
  try {
    database.exec(
      'pragma locking_mode = exclusive; begin exclusive; create table if not exists held (pid integer); commit; begin exclusive',
    )
  } catch (error) {
    database.close()
    if (!/locked|busy/i.test((error as Error).message)) throw error
    const owner = existsSync(ownerFile) ? ` (process ${readFileSync(ownerFile, 'utf8').trim()})` : ''
    throw new DataDirInUseError(
      `the data directory ${dataDir} is in use by another Spillway${owner}; stop it, or set another dataDir`,
    )
  }
  writeFileSync(ownerFile, `${process.pid}\n`, { mode: 0o600 })
  return { release: () => database.close() }
}

/** Another process has the data directory. */
export class DataDirInUseError extends Error {}
