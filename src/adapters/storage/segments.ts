import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { checkLine, decodeLine, type JournalEntry, lineCrc, lineSeq } from './journal-line.ts'

/** One file of the journal, named by the sequence number of its first record. */
export interface Segment {
  readonly file: string
  readonly firstSeq: number
}

/** How far a segment is good. */
export interface SegmentEnd {
  readonly bytes: number
  readonly crc: number
  /** The last good record; `firstSeq - 1` where there is none. */
  readonly lastSeq: number
  /** Bytes after the good ones: the torn tail of a crash, or damage. */
  readonly tornBytes: number
  /** Among those bytes there are whole records: what is broken is not the end of what was written last. */
  readonly isDamaged: boolean
}

/** What is read of a file, and handed on, at once: about two milliseconds of work. */
const pieceBytes = 256 * 1024
const lineFeed = 0x0a

export function segmentFile(dir: string, firstSeq: number): string {
  return path.join(dir, `${String(firstSeq).padStart(16, '0')}.ndjson`)
}

/** All segments that hold something, in order. Makes the directory where there is none. */
export function listSegments(dir: string): Segment[] {
  if (!existsSync(dir)) mkdirSync(dir, { recursive: true, mode: 0o700 })
  return readdirSync(dir)
    .filter((name) => /^\d{16}\.ndjson$/.test(name))
    .sort()
    .map((name) => ({ file: path.join(dir, name), firstSeq: Number(name.slice(0, 16)) }))
    .filter(({ file }) => statSync(file).size > 0)
}

/**
 * Reads a segment piece by piece from its beginning, checking each line, and gives the entries from number `fromSeq`
 * on. Ends at the first line that is not good, and says where that is.
 */
export function* readSegment({ file, firstSeq }: Segment, fromSeq = 0): Generator<JournalEntry[], SegmentEnd> {
  const fd = openSync(file, 'r')
  try {
    const { size } = fstatSync(fd)
    let at = 0
    let crc = 0
    let seq = firstSeq - 1
    let entries: JournalEntry[] = []
    for (const line of linesOf(fd, size, at)) {
      const checked = checkLine(line, crc)
      if (checked === undefined || lineSeq(line) !== seq + 1) break
      crc = checked
      seq++
      at += line.length + 1
      if (seq >= fromSeq) entries.push(decodeLine(line))
      if (at % pieceBytes < line.length + 1) {
        yield entries
        entries = []
      }
    }
    yield entries
    return { bytes: at, crc, lastSeq: seq, tornBytes: size - at, isDamaged: holdsRecords(fd, size, at) }
  } finally {
    closeSync(fd)
  }
}

/** The lines of a file from a byte on, without their line feeds. What follows the last line feed is no line. */
function* linesOf(fd: number, size: number, from: number): Generator<Buffer> {
  let rest = Buffer.alloc(0)
  for (let at = from; at < size; ) {
    const piece = Buffer.allocUnsafe(Math.min(pieceBytes, size - at))
    const bytes = readSync(fd, piece, 0, piece.length, at)
    if (bytes === 0) return
    at += bytes
    rest = rest.length === 0 ? piece.subarray(0, bytes) : Buffer.concat([rest, piece.subarray(0, bytes)])
    let start = 0
    for (let end = rest.indexOf(lineFeed); end >= 0; end = rest.indexOf(lineFeed, start)) {
      yield rest.subarray(start, end)
      start = end + 1
    }
    // No record is as long as that: a line that was damaged is given up.
    rest = rest.length - start > pieceBytes ? Buffer.alloc(0) : rest.subarray(start)
  }
}

/** Are there two lines of which the second follows the first? Each carries on the checksum of the one before. */
function holdsRecords(fd: number, size: number, from: number): boolean {
  let previous: Buffer | undefined
  for (const line of linesOf(fd, size, from)) {
    if (previous !== undefined && checkLine(line, lineCrc(previous)) !== undefined) return true
    previous = line
  }
  return false
}

/**
 * Takes the tail of a crash away, which was never acknowledged. A copy beside the segment, for whoever wants to look,
 * is made if there is room.
 */
export function cutSegment(segment: Segment, bytes: number): string | undefined {
  const fd = openSync(segment.file, 'r+')
  try {
    const tail = Buffer.alloc(fstatSync(fd).size - bytes)
    readSync(fd, tail, 0, tail.length, bytes)
    let copy: string | undefined = `${segment.file}.torn`
    try {
      writeFileSync(copy, tail, { mode: 0o600 })
    } catch {
      copy = undefined
    }
    ftruncateSync(fd, bytes)
    fsyncSync(fd)
    return copy
  } finally {
    closeSync(fd)
  }
}

export function removeSegment(segment: Segment): void {
  unlinkSync(segment.file)
}

/** When it was last written, ms since 1970. */
export function segmentAgeMs(segment: Segment, wallMs: number): number {
  return wallMs - statSync(segment.file).mtimeMs
}
