import type { DatabaseSync } from 'node:sqlite'
import type { JournalEntry } from './journal-line.ts'
import { SqliteLedger } from './ledger.ts'
import { type Ended, type OpenRequest, OpenRequests } from './open-requests.ts'
import { cutSegment, listSegments, readSegment, removeSegment, type Segment, segmentAgeMs } from './segments.ts'

/** Rows written in one transaction: about a millisecond of the event loop. */
const rowsAtOnce = 100
/** The ledger follows the journal within this time. */
const writeEveryMs = 250

/** Where the journal goes on. */
export interface JournalEnd {
  readonly segment: Segment | undefined
  readonly bytes: number
  readonly crc: number
  readonly lastSeq: number
}

/** Makes the ledger out of the journal: at start from its files, afterwards from what has just been made durable. */
export class Projection {
  readonly ledger: SqliteLedger
  readonly #dir: string
  readonly #requests = new OpenRequests()
  #ended: Ended[] = []
  #lastSeq = 0
  #timer: NodeJS.Timeout | undefined
  #paused = false

  constructor(database: DatabaseSync, journalDir: string) {
    this.#dir = journalDir
    this.ledger = new SqliteLedger(database, () => this.open)
  }

  /** Requests that the journal has begun and not ended. */
  get open(): ReadonlyMap<string, OpenRequest> {
    return this.#requests.open
  }

  /**
   * Reads what lies beyond the ledger's cursor. A torn tail is cut off (and kept beside the journal); damage anywhere
   * else throws, since it hides what was promised to be there.
   */
  catchUp(): JournalEnd {
    const segments = listSegments(this.#dir)
    const { cursor } = this.ledger
    this.#lastSeq = cursor
    let end: JournalEnd = { segment: undefined, bytes: 0, crc: 0, lastSeq: cursor }
    segments.forEach((segment, index) => {
      const next = segments[index + 1]
      if (next !== undefined && next.firstSeq <= cursor + 1) return
      if (end.segment !== undefined && segment.firstSeq !== end.lastSeq + 1) {
        throw new Error(
          `the journal has a gap: ${segment.file} begins with ${segment.firstSeq}, but ${end.lastSeq + 1} is next; restore the missing segment`,
        )
      }
      const good = readSegment(segment, (entry) => this.#read(entry, cursor))
      if (good.torn > 0) {
        if (next !== undefined)
          throw new Error(`the journal is damaged: ${segment.file} at byte ${good.bytes}; restore it from a backup`)
        cutSegment(segment, good.bytes)
      }
      end = { segment, bytes: good.bytes, crc: good.crc, lastSeq: good.lastSeq }
    })
    this.#lastSeq = Math.max(this.#lastSeq, end.lastSeq)
    this.flush()
    return { ...end, lastSeq: this.#lastSeq }
  }

  /** Takes what the journal has made durable. */
  take(entries: readonly JournalEntry[]): void {
    for (const entry of entries) {
      const ended = this.#requests.take(entry)
      if (ended !== undefined) this.#ended.push(ended)
      this.#lastSeq = entry.seq
    }
    this.#schedule(writeEveryMs)
  }

  /** Writes all that has ended. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    while (this.#writeSome()) {}
  }

  /** Throws the rows away whose journal is kept and makes them again; goes on serving meanwhile. */
  async rebuild(onProgress?: (done: number, total: number) => void): Promise<{ readonly requests: number }> {
    this.flush()
    this.#paused = true
    try {
      const segments = listSegments(this.#dir)
      const lastSeq = this.#lastSeq
      this.ledger.forget(segments[0]?.firstSeq ?? lastSeq + 1)
      const requests = new OpenRequests()
      let rows = 0
      for (const [index, segment] of segments.entries()) {
        let ended: Ended[] = []
        readSegment(segment, (entry) => {
          // What came after the beginning is in the hands of the live projection.
          if (entry.seq > lastSeq) return
          const one = requests.take(entry)
          if (one !== undefined) ended.push(one)
        })
        while (ended.length > 0) {
          this.ledger.write(ended.slice(0, rowsAtOnce), this.ledger.cursor)
          rows += Math.min(rowsAtOnce, ended.length)
          ended = ended.slice(rowsAtOnce)
          await new Promise((resolve) => setImmediate(resolve))
        }
        onProgress?.(index + 1, segments.length)
      }
      this.ledger.write([], requests.lowWater(lastSeq))
      return { requests: rows }
    } finally {
      this.#paused = false
      this.flush()
    }
  }

  /** Removes segments that are wholly in the ledger and older than `olderThanMs`. */
  removeOld(olderThanMs: number, wallMs: number): void {
    const segments = listSegments(this.#dir)
    for (let index = 0; index + 1 < segments.length; index++) {
      const segment = segments[index] as Segment
      const next = segments[index + 1] as Segment
      if (next.firstSeq > this.ledger.cursor + 1 || segmentAgeMs(segment, wallMs) < olderThanMs) return
      removeSegment(segment)
    }
  }

  close(): void {
    this.flush()
  }

  #read(entry: JournalEntry, cursor: number): void {
    // Everything up to the cursor belongs to requests that are in the ledger.
    if (entry.seq <= cursor) return
    const ended = this.#requests.take(entry)
    if (ended !== undefined) this.#ended.push(ended)
  }

  #schedule(ms: number): void {
    if (this.#ended.length === 0 || this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      if (this.#writeSome()) this.#schedule(0)
    }, ms)
    this.#timer.unref()
  }

  /** Gives true while there is more. */
  #writeSome(): boolean {
    if (this.#paused || this.#ended.length === 0) return false
    const some = this.#ended.slice(0, rowsAtOnce)
    const rest = this.#ended.slice(rowsAtOnce)
    let cursor = this.#requests.lowWater(this.#lastSeq)
    for (const one of rest) cursor = Math.min(cursor, (one.kind === 'settled' ? one.request.seq : one.seq) - 1)
    this.ledger.write(some, cursor)
    this.#ended = rest
    return rest.length > 0
  }
}
