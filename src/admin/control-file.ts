import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** Where the process that has a data directory listens for commands, and what they must show. */
export interface ControlFile {
  readonly socket: string
  readonly token: string
}

/** Unix takes 104 to 108 bytes for the path of a socket. */
const socketPathBytesMax = 100

/** Only who can read this file (this user) may speak to the process. */
function controlFile(dataDir: string): string {
  return path.join(dataDir, 'control.json')
}

/** A place for the socket: in the data directory, or in a folder of our own where that path would be too long. */
export function socketPlace(dataDir: string): { readonly socket: string; remove(): void } {
  if (process.platform === 'win32')
    return { socket: `\\\\.\\pipe\\spillway-${randomBytes(16).toString('hex')}`, remove: () => {} }
  const own = path.join(path.resolve(dataDir), 'control.sock')
  if (Buffer.byteLength(own) <= socketPathBytesMax) {
    // This process holds the directory's lock: a socket that is there was left by one that is gone.
    rmSync(own, { force: true })
    return { socket: own, remove: () => rmSync(own, { force: true }) }
  }
  // Left behind by a process that was killed, the folder goes when the next one finds its name.
  const left = readControlFile(dataDir)?.socket
  if (left !== undefined && path.dirname(path.dirname(left)) === path.resolve(tmpdir()))
    rmSync(path.dirname(left), { recursive: true, force: true })
  // Made with a name that nobody can know before, and closed to others: no one else can listen in our place.
  const dir = mkdtempSync(path.join(path.resolve(tmpdir()), 'spillway-'))
  return { socket: path.join(dir, 'control.sock'), remove: () => rmSync(dir, { recursive: true, force: true }) }
}

/** Puts the file in place whole. */
export function writeControlFile(dataDir: string, content: ControlFile): void {
  const next = `${controlFile(dataDir)}.next`
  rmSync(next, { force: true })
  writeFileSync(next, JSON.stringify(content), { mode: 0o600, flag: 'wx' })
  renameSync(next, controlFile(dataDir))
}

export function removeControlFile(dataDir: string): void {
  rmSync(controlFile(dataDir), { force: true })
}

/** Undefined where no process has left one. Throws, in words, where this user may not read it. */
export function readControlFile(dataDir: string): ControlFile | undefined {
  const file = controlFile(dataDir)
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ControlFile
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    throw new Error(
      `cannot read ${file}, which says how to reach the running process: ${message}; run this as its user`,
    )
  }
}
