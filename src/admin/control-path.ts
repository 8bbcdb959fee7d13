import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** Unix takes 104 to 108 bytes for the path of a socket. */
const socketPathBytesMax = 100

/** Where the process that owns a data directory listens for its commands. */
export function controlSocketPath(dataDir: string): string {
  const hash = createHash('sha256').update(path.resolve(dataDir)).digest('hex').slice(0, 16)
  if (process.platform === 'win32') return `\\\\.\\pipe\\spillway-${hash}`
  const own = path.join(path.resolve(dataDir), 'control.sock')
  return Buffer.byteLength(own) <= socketPathBytesMax ? own : path.join(tmpdir(), `spillway-${hash}.sock`)
}

/** Who may speak there: who can read this file. */
export function controlTokenPath(dataDir: string): string {
  return path.join(dataDir, 'control.token')
}
