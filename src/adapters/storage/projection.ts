import type { JournalEntry } from './journal-line.ts'
import type { SqliteLedger } from './ledger.ts'
import { type Ended, OpenRequests, type OpenRequestsView } from './open-requests.ts'
import { cutSegment, listSegments, readSegment, removeSegment, type Segment, segmentAgeMs } from './segments.ts'

/** Rows written in one transaction: about a millisecond of the event loop. */
const rowsAtOnce = 100
/** The ledger follows the journal within this time. */
const writeEveryMs = 50
/** After a write that failed, since the disk is full or failing. What is to be written waits, and so does its journal. */
const writeAgainMs = 1_000

/** Where the journal goes on. */
export interface JournalEnd {
  readonly segment: Segment | undefined
  readonly bytes: number
  readonly crc: number
  readonly lastSeq: number
}

/** Makes the ledger out of the journal: at start from its files, afterwards from what has just been made durable. */
export class Projection {
  readonly #ledger: SqliteLedger
  readonly #dir: string
  readonly #say: (line: string) => void
  readonly #requests = new OpenRequests()
  #ended: Ended[] = []
  #lastSeq = 0
  #timer: NodeJS.Timeout | undefined
  #paused = false
  #failing = false

  constructor(ledger: SqliteLedger, journalDir: string, say: (line: string) => void) {
    this.#ledger = ledger
    this.#dir = journalDir
    this.#say = say
    this.#lastSeq = ledger.cursor
  }

  /** Requests that the journal has begun and not ended. */
  get open(): OpenRequestsView {
    return this.#requests
  }

  /**
   * Reads what lies beyond the ledger's cursor and gives where the journal ends. A torn tail is cut off (and kept
   * beside the journal). Throws where the journal is damaged anywhere else, has a gap, or ends before what the ledger
   * has read of it: then it does not hold any more what was promised to be there.
   */
  catchUp(): JournalEnd {
    const segments = listSegments(this.#dir)
    const cursor = this.#ledger.cursor
    const first = segments[0]
    // A ledger that is new begins with what there is of the journal.
    if (!this.#ledger.isEmpty && first !== undefined && first.firstSeq > cursor + 1)
      throw gap(`${first.file} begins with ${first.firstSeq}, but the ledger has read up to ${cursor}`)
    let end: JournalEnd = { segment: undefined, bytes: 0, crc: 0, lastSeq: 0 }
    for (const [index, segment] of segments.entries()) {
      const next = segments[index + 1]
      if (next !== undefined && next.firstSeq <= cursor + 1) continue
      if (end.segment !== undefined && segment.firstSeq !== end.lastSeq + 1)
        throw gap(`${segment.file} begins with ${segment.firstSeq}, but ${end.lastSeq + 1} is next`)
      end = { segment, ...this.#readWhole(segment, cursor, next === undefined) }
    }
    if (end.lastSeq < cursor) throw gap(`it ends with ${end.lastSeq}, but the ledger has read up to ${cursor}`)
    return end
  }

  /** Takes what the journal has made durable. */
  take(entries: readonly JournalEntry[]): void {
    this.#take(entries)
    this.#schedule(writeEveryMs)
  }

  /** Writes all that has ended. Throws where the database cannot be written; nothing is lost by that. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    try {
      while (this.#writeSome()) {}
    } finally {
      this.#schedule(writeAgainMs)
    }
  }

  /**
   * Reads the journal that is kept once more, into a ledger that is to take the place of this one, a piece at a time:
   * serving goes on meanwhile. Gives the number of requests that have ended.
   */
  async replay(into: SqliteLedger, onProgress?: (done: number, total: number) => void): Promise<number> {
    const requests = new OpenRequests()
    const segments = listSegments(this.#dir)
    const lastSeq = this.#lastSeq
    let rows = 0
    for (const [index, segment] of segments.entries()) {
      for (const entries of readSegment(segment)) {
        const ended: Ended[] = []
        for (const entry of entries) {
          // What came after the beginning is in the hands of this projection.
          const one = entry.seq > lastSeq ? undefined : requests.take(entry)
          if (one !== undefined) ended.push(one)
        }
        for (let at = 0; at < ended.length; at += rowsAtOnce) {
          into.write(ended.slice(at, at + rowsAtOnce), into.cursor)
          await new Promise((resolve) => setImmediate(resolve))
        }
        rows += ended.length
      }
      onProgress?.(index + 1, segments.length)
    }
    into.write([], requests.lowWater(lastSeq))
    return rows
  }

  /** Writes nothing while `work` runs, one at a time; what ends meanwhile is written after it. */
  async pausedWhile<T>(work: () => Promise<T>): Promise<T> {
    if (this.#paused) throw new Error('the ledger is being made again already; wait for that to end')
    this.flush()
    this.#paused = true
    try {
      return await work()
    } finally {
      this.#paused = false
      this.#schedule(0)
    }
  }

  /** Removes segments that are older than `olderThanMs` and wholly in the ledger, safe from a power cut there. */
  removeOld(olderThanMs: number, wallMs: number): void {
    // They are being read.
    if (this.#paused) return
    const segments = listSegments(this.#dir)
    for (let index = 0; index + 1 < segments.length; index++) {
      const segment = segments[index] as Segment
      const next = segments[index + 1] as Segment
      if (next.firstSeq > this.#ledger.cursor + 1 || segmentAgeMs(segment, wallMs) < olderThanMs) return
      if (index === 0 && !this.#ledger.sync()) return
      removeSegment(segment)
    }
  }

  /** Writes what it can; the rest is read from the journal at the next start. */
  close(): void {
    try {
      this.flush()
    } catch (error) {
      this.#say(
        `the ledger is behind the journal, which it catches up with at the next start: ${(error as Error).message}`,
      )
    }
    clearTimeout(this.#timer)
  }

  #readWhole(segment: Segment, cursor: number, isLast: boolean): Omit<JournalEnd, 'segment'> {
    const reading = readSegment(segment, cursor + 1)
    for (let step = reading.next(); ; step = reading.next()) {
      if (!step.done) {
        this.#take(step.value)
        this.flush()
        continue
      }
      const { bytes, crc, lastSeq, tornBytes, isDamaged } = step.value
      if (tornBytes > 0) {
        if (!isLast || isDamaged)
          throw new Error(`the journal is damaged: ${segment.file} at byte ${bytes}; restore it from a backup`)
        const copy = cutSegment(segment, bytes)
        const where = copy === undefined ? '' : ` and kept as ${copy}`
        this.#say(`the last write of the journal was cut short: ${tornBytes} bytes were taken away${where}`)
      }
      return { bytes, crc, lastSeq }
    }
  }

  #take(entries: readonly JournalEntry[]): void {
    for (const entry of entries) {
      const ended = this.#requests.take(entry)
      if (ended !== undefined) this.#ended.push(ended)
      this.#lastSeq = entry.seq
    }
  }

  #schedule(ms: number): void {
    if (this.#ended.length === 0 || this.#timer !== undefined) return
    this.#timer = setTimeout(() => this.#writeInTime(), ms)
    this.#timer.unref()
  }

  #writeInTime(): void {
    this.#timer = undefined
    try {
      const more = this.#writeSome()
      if (this.#failing) this.#say('the ledger can be written again')
      this.#failing = false
      if (more) this.#schedule(0)
    } catch (error) {
      if (!this.#failing) this.#say(`warning: the ledger cannot be written, and waits: ${(error as Error).message}`)
      this.#failing = true
      this.#schedule(writeAgainMs)
    }
  }

  /** Gives true while there is more. */
  #writeSome(): boolean {
    if (this.#paused || this.#ended.length === 0) return false
    const some = this.#ended.slice(0, rowsAtOnce)
    const rest = this.#ended.slice(rowsAtOnce)
    let cursor = this.#requests.lowWater(this.#lastSeq)
    for (const one of rest) cursor = Math.min(cursor, (one.kind === 'settled' ? one.request.seq : one.seq) - 1)
    this.#ledger.write(some, cursor)
    this.#ended = rest
    return rest.length > 0
  }
}

function gap(what: string): Error {
  return new Error(`the journal is not whole: ${what}; restore what is missing from a backup`)
}
