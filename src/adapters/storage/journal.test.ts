import { readFileSync, statSync, writeFileSync } from 'node:fs'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Disk } from './disk.ts'
import { FileJournal, type JournalOptions } from './journal.ts'
import { checkLine, decodeLine, encodeLine, type JournalEntry, lineSeq } from './journal-line.ts'
import { listSegments, readSegment, type Segment, type SegmentEnd } from './segments.ts'
import { admitRecord, errno, plainDisk, temporaryDir } from './testing.ts'

let place: ReturnType<typeof temporaryDir>
beforeEach(() => {
  place = temporaryDir()
})
afterEach(() => place.remove())

function journal(options: Partial<JournalOptions> = {}): FileJournal {
  return new FileJournal({
    dir: place.dir,
    segmentBytesMax: 1 << 20,
    disk: plainDisk,
    resume: { segment: undefined, bytes: 0, crc: 0, lastSeq: 0 },
    onDurable: () => {},
    onFatal: () => {},
    ...options,
  })
}

const append = (to: FileJournal, id: string) =>
  new Promise<Error | undefined>((resolve) => to.append([admitRecord(id)], resolve))

/** All of a segment, and how it ends. */
function read(segment: Segment, fromSeq = 0): { entries: JournalEntry[]; end: SegmentEnd } {
  const entries: JournalEntry[] = []
  const reading = readSegment(segment, fromSeq)
  for (let step = reading.next(); ; step = reading.next()) {
    if (step.done) return { entries, end: step.value }
    entries.push(...step.value)
  }
}

const entries = () => listSegments(place.dir).flatMap((segment) => read(segment).entries)

/** A disk that behaves as a test says, over the real one. */
function faulty(fault: () => { error?: NodeJS.ErrnoException; atMost?: number }): Disk & { writes: number } {
  const disk = {
    ...plainDisk,
    writes: 0,
    create(file: string) {
      const real = plainDisk.create(file)
      return {
        write(bytes: Buffer, position: number, done: (error: NodeJS.ErrnoException | null, written: number) => void) {
          disk.writes++
          const { error, atMost } = fault()
          if (error !== undefined) setImmediate(() => done(error, 0))
          else real.write(bytes.subarray(0, Math.min(atMost ?? bytes.length, bytes.length)), position, done)
        },
        close: () => real.close(),
      }
    },
  }
  return disk
}

describe('the journal', () => {
  test('says that a record is durable only when it is in the file', async () => {
    const one = journal()
    await append(one, 'a')
    expect(entries().map(({ record }) => record.id)).toEqual(['a'])
    await one.close()
  })

  test('writes what gathers during a write in one go, in order', async () => {
    const disk = faulty(() => ({}))
    const one = journal({ disk })
    const order: string[] = []
    const all = Array.from({ length: 200 }, (_, i) => append(one, `r${i}`).then(() => order.push(`r${i}`)))
    await Promise.all(all)
    expect(disk.writes).toBeLessThan(5)
    expect(order).toEqual(Array.from({ length: 200 }, (_, i) => `r${i}`))
    expect(entries().map(({ seq }) => seq)).toEqual(Array.from({ length: 200 }, (_, i) => i + 1))
    await one.close()
  })

  test('rotates its segments and carries the count on', async () => {
    const one = journal({ segmentBytesMax: 1_000 })
    for (let i = 0; i < 30; i++) await Promise.all([append(one, `r${i}a`), append(one, `r${i}b`)])
    await one.close()
    expect(listSegments(place.dir).length).toBeGreaterThan(5)
    expect(entries().map(({ seq }) => seq)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1))
  })

  test('takes a full disk as a pause: not healthy, nothing lost, well again with room', async () => {
    let full = false
    const disk = faulty(() => (full ? { error: errno('ENOSPC') } : {}))
    const one = journal({ disk })
    const told: boolean[] = []
    one.onHealthChange((healthy) => told.push(healthy))
    await append(one, 'before')
    full = true
    const during = append(one, 'during')
    await vi.waitFor(() => expect(one.healthy).toBe(false))
    full = false
    expect(await during).toBeUndefined()
    // What is written now may come from the ballast: it is well again when there is room, not before.
    await vi.waitFor(() => expect(one.healthy).toBe(true), { timeout: 10_000 })
    expect(told.at(-1)).toBe(true)
    expect(entries().map(({ record }) => record.id)).toEqual(['before', 'during'])
    await one.close()
  })

  test('goes on where a write came out short', async () => {
    const disk = faulty(() => ({ atMost: 7 }))
    const one = journal({ disk })
    await Promise.all([append(one, 'a'), append(one, 'b')])
    await one.close()
    expect(entries().map(({ record }) => record.id)).toEqual(['a', 'b'])
  })

  test('trusts a disk no more that failed a write in another way', async () => {
    let broken = false
    const reasons: string[] = []
    const one = journal({
      disk: faulty(() => (broken ? { error: errno('EIO') } : {})),
      onFatal: (reason) => reasons.push(reason),
    })
    await append(one, 'a')
    broken = true
    expect(await append(one, 'b')).toBeInstanceOf(Error)
    broken = false
    expect(await append(one, 'c')).toBeInstanceOf(Error)
    expect(one.healthy).toBe(false)
    expect(reasons).toHaveLength(1)
  })

  test('tells nobody that what a broken disk took is safe', async () => {
    const durable: string[] = []
    const one = journal({
      disk: faulty(() => ({ error: errno('EIO') })),
      onDurable: (some) => durable.push(...some.map(({ record }) => record.id)),
    })
    expect(await append(one, 'a')).toBeInstanceOf(Error)
    expect(durable).toEqual([])
  })

  test('closes on a full disk, and says that what it could not write is not safe', async () => {
    const one = journal({ disk: faulty(() => ({ error: errno('ENOSPC') })) })
    const waiting = append(one, 'a')
    await vi.waitFor(() => expect(one.healthy).toBe(false))
    await one.close()
    expect(await waiting).toBeInstanceOf(Error)
  })

  test.each(['ENOSPC', 'EMFILE'])('grows on in the old segment while no new one can be made (%s)', async (code) => {
    let possible = true
    const disk: Disk = {
      ...plainDisk,
      create(file) {
        if (possible) return plainDisk.create(file)
        // As it can happen: the file is there, and then its directory cannot be synced.
        writeFileSync(file, '')
        throw errno(code)
      },
    }
    const one = journal({ disk, segmentBytesMax: 1_000 })
    possible = false
    for (let i = 0; i < 10; i++) await append(one, `a${i}`)
    expect(listSegments(place.dir)).toHaveLength(1)
    possible = true
    for (let i = 0; i < 10; i++) await append(one, `b${i}`)
    await one.close()
    expect(listSegments(place.dir).length).toBeGreaterThan(1)
    expect(entries().map(({ seq }) => seq)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
  })
})

describe('a segment', () => {
  async function twelveRecords(): Promise<{ segment: Segment; whole: Buffer }> {
    const one = journal()
    for (let i = 0; i < 12; i++) await append(one, `r${i}`)
    await one.close()
    const [segment] = listSegments(place.dir)
    if (segment === undefined) throw new Error('no segment')
    return { segment, whole: readFileSync(segment.file) }
  }

  test('gives back every record that was written whole, wherever its tail was torn', async () => {
    const { segment, whole } = await twelveRecords()
    const ends = [...whole.entries()].filter(([, byte]) => byte === 0x0a).map(([at]) => at + 1)
    fc.assert(
      fc.property(fc.nat(whole.length), fc.uint8Array({ maxLength: 40 }), (length, garbage) => {
        writeFileSync(segment.file, Buffer.concat([whole.subarray(0, length), garbage]))
        const { entries: found, end } = read(segment)
        const good = ends.filter((at) => at <= length).length
        expect(found.length).toBe(good)
        expect(end.bytes).toBe(ends[good - 1] ?? 0)
        expect(end.tornBytes).toBe(length + garbage.length - end.bytes)
        expect(end.isDamaged).toBe(false)
      }),
      { numRuns: 200, seed: 3 },
    )
  })

  test('that is broken before its end is told from one whose tail was torn', async () => {
    const { segment, whole } = await twelveRecords()
    const lineStarts = [0, ...[...whole.entries()].filter(([, byte]) => byte === 0x0a).map(([at]) => at + 1)]
    const lastThree = lineStarts.at(-4) ?? 0
    fc.assert(
      fc.property(fc.nat(lastThree - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const broken = Buffer.from(whole)
        broken[at] = (broken[at] as number) ^ flip
        writeFileSync(segment.file, broken)
        const { end } = read(segment)
        expect(end.bytes).toBeLessThanOrEqual(at)
        expect(end.isDamaged).toBe(true)
      }),
      { numRuns: 200, seed: 5 },
    )
  })

  test('of many pieces gives the same, from any record on', async () => {
    const one = journal({ segmentBytesMax: 1 << 30 })
    const ids = Array.from({ length: 12_000 }, (_, i) => `r${i}`)
    await Promise.all(ids.map((id) => append(one, id)))
    await one.close()
    const [segment] = listSegments(place.dir)
    if (segment === undefined) throw new Error('no segment')
    expect(statSync(segment.file).size).toBeGreaterThan(3 * 1024 * 1024)
    const { entries: all, end } = read(segment)
    expect(all.map(({ record }) => record.id)).toEqual(ids)
    expect(read(segment, 9_001)).toEqual({ entries: all.slice(9_000), end })
  })

  test('shows a line that was changed, taken out or moved', () => {
    const first = encodeLine(1, admitRecord('a'), 0)
    const second = encodeLine(2, admitRecord('b'), first.crc)
    const line = Buffer.from(second.line.trimEnd())
    expect(checkLine(line, first.crc)).toBe(second.crc)
    expect(lineSeq(line)).toBe(2)
    expect(decodeLine(line)).toEqual({ seq: 2, record: admitRecord('b') })
    expect(checkLine(line, 0)).toBeUndefined()
    expect(checkLine(Buffer.from(line.toString().replace('"b"', '"c"')), first.crc)).toBeUndefined()
  })
})
