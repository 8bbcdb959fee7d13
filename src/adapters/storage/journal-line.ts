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

const crcDigits = 8
const comma = 0x2c
const seqStart = crcDigits + ' {"seq":'.length

/**
 * The checksum of a line (without its line feed), or undefined where the line is not what was written after
 * `previousCrc`. Does not read the record: most lines are only counted.
 */
export function checkLine(line: Buffer, previousCrc: number): number | undefined {
  if (line.length <= seqStart || line[crcDigits] !== 0x20) return undefined
  const crc = crc32(line.subarray(crcDigits + 1), previousCrc)
  return lineCrc(line) === crc ? crc : undefined
}

/** The checksum that a line says it has. Digit by digit, as below: a start reads a million lines. */
export function lineCrc(line: Buffer): number {
  let crc = 0
  for (let at = 0; at < crcDigits; at++) {
    const byte = line[at] as number
    crc = (crc << 4) | (byte < 0x3a ? byte - 0x30 : byte - 0x57)
  }
  return crc >>> 0
}

/** The number of a line that was checked. */
export function lineSeq(line: Buffer): number {
  let seq = 0
  for (let at = seqStart; at < line.length && line[at] !== comma; at++) seq = seq * 10 + (line[at] as number) - 0x30
  return seq
}

/** What a line says that was checked. */
export function decodeLine(line: Buffer): JournalEntry {
  const { seq, ...record } = JSON.parse(line.toString('utf8', crcDigits + 1)) as { seq: number } & JournalRecord
  return { seq, record: record as JournalRecord }
}
