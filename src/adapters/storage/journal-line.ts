import { crc32 } from 'node:zlib'
import type { JournalRecord } from './journal-record.ts'

/** A record with its place in the journal. */
export interface JournalEntry {
  readonly seq: number
  readonly record: JournalRecord
}

/**
 * One line: eight hex digits, a blank, JSON, a line feed. The digits are the CRC-32 of the JSON, carried on from the
 * line before it in the segment, so that a line that is missing, doubled or moved shows as well as one that is damaged.
 */
export function encodeLine(
  seq: number,
  record: JournalRecord,
  previousCrc: number,
): { readonly line: string; readonly crc: number } {
  const json = `{"seq":${seq},${JSON.stringify(record).slice(1)}`
  const crc = crc32(json, previousCrc)
  return { line: `${crc.toString(16).padStart(8, '0')} ${json}\n`, crc }
}

/** The entry, or undefined where the line (without its line feed) is not what was written after `previousCrc`. */
export function decodeLine(
  line: string,
  previousCrc: number,
): { readonly entry: JournalEntry; readonly crc: number } | undefined {
  if (line.length < 12 || line[8] !== ' ') return undefined
  const json = line.slice(9)
  const crc = crc32(json, previousCrc)
  if (Number.parseInt(line.slice(0, 8), 16) !== crc) return undefined
  const { seq, ...record } = JSON.parse(json) as { seq: number } & JournalRecord
  return { entry: { seq, record: record as JournalRecord }, crc }
}
