import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'

/** A file being written at its end. */
export interface DiskFile {
  /** Writes at a position and returns once that part is on the disk itself. May write less than was given. */
  write(bytes: Buffer, position: number, done: (error: NodeJS.ErrnoException | null, written: number) => void): void
  close(): void
}

/** What the journal asks of a disk; tests put one in place that fills up or breaks. */
export interface Disk {
  create(file: string): DiskFile
  /** Bytes free for this process; undefined where the system does not say. */
  freeBytes(dir: string): Promise<number | undefined>
  /** A file that only holds room, given up when the disk is full. */
  reserve(file: string, bytes: number): void
  release(file: string): void
}

/**
 * O_DSYNC makes a write return once it is on the disk: one trip to the thread pool where write and fdatasync are two,
 * with the same promise. Where a system has no such flag, fdatasync follows each write.
 */
const { O_DSYNC, O_RDWR, O_CREAT } = fs.constants

export const realDisk: Disk = {
  create(file) {
    const fd = fs.openSync(file, O_RDWR | O_CREAT | (O_DSYNC ?? 0), 0o600)
    try {
      syncDirectory(path.dirname(file))
    } catch (error) {
      fs.closeSync(fd)
      throw error
    }
    return {
      write(bytes, position, done) {
        fs.write(fd, bytes, 0, bytes.length, position, (error, written) => {
          if (error !== null || O_DSYNC !== undefined) done(error, written)
          else fs.fdatasync(fd, (syncError) => done(syncError, written))
        })
      },
      close: () => fs.closeSync(fd),
    }
  },
  async freeBytes(dir) {
    try {
      const { bavail, bsize } = await fs.promises.statfs(dir)
      return bavail * bsize
    } catch {
      return undefined
    }
  },
  reserve(file, bytes) {
    if (fs.existsSync(file) && fs.statSync(file).size === bytes) return
    const fd = fs.openSync(file, 'w', 0o600)
    try {
      // Not zeroes, for which some file systems take no room.
      const block = randomBytes(1024 * 1024)
      for (let at = 0; at < bytes; at += block.length) fs.writeSync(fd, block, 0, Math.min(block.length, bytes - at))
    } finally {
      fs.closeSync(fd)
    }
  },
  release(file) {
    fs.rmSync(file, { force: true })
  },
}

/** The name of a new file is safe only once its directory is. */
export function syncDirectory(dir: string): void {
  // Windows has no such thing: there it is safe with the file.
  if (process.platform === 'win32') return
  const fd = fs.openSync(dir, 'r')
  try {
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}
