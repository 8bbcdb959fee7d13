import path from 'node:path'
import type { Disk, DiskFile } from './disk.ts'
import { encodeLine, type JournalEntry } from './journal-line.ts'
import type { JournalRecord } from './journal-record.ts'
import { type Segment, segmentFile } from './segments.ts'
import type { Journal } from './storage.ts'

/** Room below which nothing is admitted any more, and above which it is again. */
const freeBytesMin = 64 * 1024 * 1024
const freeBytesEnough = 96 * 1024 * 1024
/**
 * Given up when the disk is full, so that what is open can still settle: 20,000 answers of a thousand tokens each, with
 * their marks and settlements.
 */
const ballastBytes = 64 * 1024 * 1024
const lookAtDiskMs = 1_000
const writeAgainMs = 250

/**
 * Between the beginnings of two writes where several wait for each: a fast disk would else be asked for a write of its
 * own by nearly every request, which costs more than the request's own work. Who comes alone does not wait.
 */
const gatherMs = 1

export interface JournalOptions {
  readonly dir: string
  readonly segmentBytesMax: number
  readonly disk: Disk
  /** Where writing goes on: the last segment, how much of it is good, and the number of the last record. */
  readonly resume: {
    readonly segment: Segment | undefined
    readonly bytes: number
    readonly crc: number
    readonly lastSeq: number
  }
  /** Called with what is on the disk now, in order, before those who wait for it. */
  readonly onDurable: (entries: readonly JournalEntry[]) => void
  /** The disk failed in a way that leaves what it holds in doubt: the process has to end. */
  readonly onFatal: (reason: string) => void
}

/**
 * The journal on disk. Group commit: while one write is under way everything appended gathers, and goes with the next,
 * so that a disk's latency is shared by all who wait and not queued up for.
 */
export class FileJournal implements Journal {
  readonly #options: JournalOptions
  readonly #healthListeners: ((healthy: boolean, reason: string) => void)[] = []
  readonly #ballast: string
  readonly #diskTimer: NodeJS.Timeout
  #file: DiskFile
  #position: number
  #crc: number
  #seq: number
  #lines: string[] = []
  #entries: JournalEntry[] = []
  #waiting: ((error?: Error) => void)[] = []
  #writing = false
  #scheduled = false
  #startedMs = Number.NEGATIVE_INFINITY
  /** Several waited for the last write. */
  #busy = false
  #full = false
  #lowOnRoom = false
  #closing = false
  /** What was said last of `healthy`. */
  #told = true
  #fatal: Error | undefined
  #idle: (() => void)[] = []

  constructor(options: JournalOptions) {
    this.#options = options
    const { segment, bytes, crc, lastSeq } = options.resume
    this.#seq = lastSeq
    this.#position = bytes
    this.#crc = crc
    this.#file = options.disk.create(segment?.file ?? segmentFile(options.dir, lastSeq + 1))
    this.#ballast = path.join(options.dir, 'ballast')
    this.#reserve()
    this.#diskTimer = setInterval(() => void this.#lookAtDisk(), lookAtDiskMs).unref()
    void this.#lookAtDisk()
  }

  get healthy(): boolean {
    return !this.#full && !this.#lowOnRoom && this.#fatal === undefined
  }

  onHealthChange(listener: (healthy: boolean, reason: string) => void): void {
    this.#healthListeners.push(listener)
  }

  append(records: readonly JournalRecord[], durable?: (error?: Error) => void): void {
    const fatal = this.#fatal
    if (fatal !== undefined) {
      if (durable !== undefined) setImmediate(() => durable(fatal))
      return
    }
    for (const record of records) {
      const seq = ++this.#seq
      const { line, crc } = encodeLine(seq, record, this.#crc)
      this.#crc = crc
      this.#lines.push(line)
      this.#entries.push({ seq, record })
    }
    if (durable !== undefined) this.#waiting.push(durable)
    if (!this.#writing && !this.#scheduled) this.#schedule()
  }

  async close(): Promise<void> {
    clearInterval(this.#diskTimer)
    this.#closing = true
    if (this.#writing || this.#scheduled) await new Promise<void>((resolve) => this.#idle.push(resolve))
    this.#file.close()
  }

  #schedule(): void {
    this.#scheduled = true
    const earlyMs = this.#busy ? this.#startedMs + gatherMs - performance.now() : 0
    // What arrives within the same turn of the event loop goes along.
    if (earlyMs <= 0) setImmediate(() => this.#write())
    else setTimeout(() => this.#write(), earlyMs)
  }

  #write(): void {
    this.#scheduled = false
    this.#writing = true
    this.#startedMs = performance.now()
    this.#busy = this.#waiting.length > 1
    const bytes = Buffer.from(this.#lines.join(''))
    const entries = this.#entries
    const waiting = this.#waiting
    this.#lines = []
    this.#entries = []
    this.#waiting = []
    this.#put(bytes, () => {
      const error = this.#fatal
      if (error === undefined) this.#options.onDurable(entries)
      for (const durable of waiting) durable(error)
      if (this.#position >= this.#options.segmentBytesMax && this.#fatal === undefined) this.#rotate()
      this.#writing = false
      if (this.#lines.length > 0) this.#schedule()
      else for (const idle of this.#idle.splice(0)) idle()
    })
  }

  /** Writes all of it, whatever it takes, unless the disk proves broken. */
  #put(bytes: Buffer, done: () => void): void {
    if (this.#fatal !== undefined) return done()
    this.#file.write(bytes, this.#position, (error, written) => {
      if (error !== null) return this.#writeFailed(error, bytes, done)
      this.#position += written
      if (written < bytes.length) return this.#put(bytes.subarray(written), done)
      if (this.#full) this.#setFull(false, 'the disk takes writes again')
      done()
    })
  }

  #writeFailed(error: NodeJS.ErrnoException, bytes: Buffer, done: () => void): void {
    const noRoom = error.code === 'ENOSPC' || error.code === 'EDQUOT'
    // Who closes cannot wait for room: what was not acknowledged is settled at the next start.
    if (noRoom && !this.#closing) {
      this.#options.disk.release(this.#ballast)
      // The room of the ballast is for what is open: until there is more, nothing is admitted.
      this.#lowOnRoom = true
      // At once after the ballast was given up, then now and then.
      setTimeout(() => this.#put(bytes, done), this.#full ? writeAgainMs : 0)
      this.#setFull(true, `the disk of ${this.#options.dir} is full`)
      return
    }
    // After a failed sync nobody knows what the disk holds (fsyncgate, 2018): writing on could lose what was promised.
    this.#fatal = new Error(`the journal cannot be written: ${error.message}`)
    this.#tellHealth(this.#fatal.message)
    if (!noRoom) this.#options.onFatal(this.#fatal.message)
    done()
  }

  #rotate(): void {
    const firstSeq = this.#entries[0]?.seq ?? this.#seq + 1
    let next: DiskFile
    try {
      next = this.#options.disk.create(segmentFile(this.#options.dir, firstSeq))
    } catch {
      // Without room or descriptors for another file the old one grows on; tried again after the next write.
      return
    }
    this.#file.close()
    this.#file = next
    this.#position = 0
    // Records that were appended meanwhile carry on the old segment's checksum: theirs is made anew.
    this.#crc = 0
    this.#lines = this.#entries.map(({ seq, record }) => {
      const { line, crc } = encodeLine(seq, record, this.#crc)
      this.#crc = crc
      return line
    })
  }

  async #lookAtDisk(): Promise<void> {
    const free = await this.#options.disk.freeBytes(this.#options.dir)
    if (free === undefined || this.#fatal !== undefined) return
    if (free < freeBytesMin) this.#lowOnRoom = true
    else if (free > freeBytesEnough) {
      this.#lowOnRoom = false
      if (!this.#full) this.#reserve()
    }
    this.#tellHealth(
      this.healthy ? 'there is room on the disk again' : `less than ${freeBytesMin >> 20} MiB are free on the disk`,
    )
  }

  #reserve(): void {
    try {
      this.#options.disk.reserve(this.#ballast, ballastBytes)
    } catch {
      // No room for it: the disk is nearly full, which is looked at each second.
      this.#options.disk.release(this.#ballast)
    }
  }

  #setFull(full: boolean, reason: string): void {
    this.#full = full
    this.#tellHealth(reason)
  }

  #tellHealth(reason: string): void {
    if (this.healthy === this.#told) return
    this.#told = this.healthy
    for (const listener of this.#healthListeners) listener(this.healthy, reason)
  }
}
