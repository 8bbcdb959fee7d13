import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { decodeLine, type JournalEntry } from './journal-line.ts'

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
  readonly torn: number
}

export function segmentFile(dir: string, firstSeq: number): string {
  return path.join(dir, `${String(firstSeq).padStart(16, '0')}.ndjson`)
}

/** All segments in order. Makes the directory where there is none. */
export function listSegments(dir: string): Segment[] {
  if (!existsSync(dir)) mkdirSync(dir, { recursive: true, mode: 0o700 })
  return readdirSync(dir)
    .filter((name) => /^\d{16}\.ndjson$/.test(name))
    .sort()
    .map((name) => ({ file: path.join(dir, name), firstSeq: Number(name.slice(0, 16)) }))
}

/** Hands every good entry to `take` in order and says where the good part ends. */
export function readSegment({ file, firstSeq }: Segment, take: (entry: JournalEntry) => void): SegmentEnd {
  const bytes = readFileSync(file)
  let at = 0
  let crc = 0
  let seq = firstSeq - 1
  for (;;) {
    const end = bytes.indexOf(0x0a, at)
    if (end < 0) break
    const decoded = decodeLine(bytes.toString('utf8', at, end), crc)
    if (decoded === undefined || decoded.entry.seq !== seq + 1) break
    take(decoded.entry)
    crc = decoded.crc
    seq = decoded.entry.seq
    at = end + 1
  }
  return { bytes: at, crc, lastSeq: seq, torn: bytes.length - at }
}

/** Takes a torn tail away, which was never acknowledged; a copy stays beside the segment for whoever wants to look. */
export function cutSegment(segment: Segment, bytes: number): void {
  writeFileSync(`${segment.file}.torn`, readFileSync(segment.file).subarray(bytes), { mode: 0o600 })
  truncateSync(segment.file, bytes)
  const fd = openSync(segment.file, 'r+')
  fsyncSync(fd)
  closeSync(fd)
}

export function removeSegment(segment: Segment): void {
  unlinkSync(segment.file)
}

/** When it was last written, ms since 1970. */
export function segmentAgeMs(segment: Segment, wallMs: number): number {
  return wallMs - statSync(segment.file).mtimeMs
}
