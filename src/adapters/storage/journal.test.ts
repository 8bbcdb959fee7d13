import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Disk, realDisk } from './disk.ts'
import { FileJournal, type JournalOptions } from './journal.ts'
import { decodeLine, encodeLine, type JournalEntry } from './journal-line.ts'
import { listSegments, readSegment } from './segments.ts'
import { admitRecord, temporaryDir } from './testing.ts'

let place: ReturnType<typeof temporaryDir>
beforeEach(() => {
  place = temporaryDir()
})
afterEach(() => place.remove())

function journal(options: Partial<JournalOptions> = {}): FileJournal {
  return new FileJournal({
    dir: place.dir,
    segmentBytesMax: 1 << 20,
    disk: realDisk,
    resume: { segment: undefined, bytes: 0, crc: 0, lastSeq: 0 },
    onDurable: () => {},
    onFatal: () => {},
    ...options,
  })
}

const append = (to: FileJournal, id: string) =>
  new Promise<Error | undefined>((resolve) => to.append([admitRecord(id)], resolve))

function entries(): JournalEntry[] {
  const all: JournalEntry[] = []
  for (const segment of listSegments(place.dir)) readSegment(segment, (entry) => all.push(entry))
  return all
}

/** A disk that behaves as a test says, over the real one. */
function faulty(fault: () => { error?: NodeJS.ErrnoException; atMost?: number }): Disk & { writes: number } {
  const disk = {
    ...realDisk,
    writes: 0,
    create(file: string) {
      const real = realDisk.create(file)
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

const errno = (code: string): NodeJS.ErrnoException => Object.assign(new Error(code), { code })

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
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(one.healthy).toBe(false)
    full = false
    expect(await during).toBeUndefined()
    expect(one.healthy).toBe(true)
    expect(told).toEqual([false, true])
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
})

describe('a segment', () => {
  test('gives back every record that was written whole, wherever its tail was torn', async () => {
    const one = journal()
    for (let i = 0; i < 12; i++) await append(one, `r${i}`)
    await one.close()
    const [segment] = listSegments(place.dir)
    if (segment === undefined) throw new Error('no segment')
    const whole = readFileSync(segment.file)
    const ends = [...whole.entries()].filter(([, byte]) => byte === 0x0a).map(([at]) => at + 1)
    fc.assert(
      fc.property(fc.nat(whole.length), fc.uint8Array({ maxLength: 40 }), (length, garbage) => {
        writeFileSync(segment.file, Buffer.concat([whole.subarray(0, length), garbage]))
        const read: JournalEntry[] = []
        const end = readSegment(segment, (entry) => read.push(entry))
        const good = ends.filter((at) => at <= length).length
        expect(read.length).toBe(good)
        expect(end.bytes).toBe(ends[good - 1] ?? 0)
        expect(end.torn).toBe(length + garbage.length - end.bytes)
      }),
      { numRuns: 200, seed: 3 },
    )
    truncateSync(segment.file, 0)
    expect(statSync(segment.file).size).toBe(0)
  })

  test('shows a line that was changed, taken out or moved', () => {
    const first = encodeLine(1, admitRecord('a'), 0)
    const second = encodeLine(2, admitRecord('b'), first.crc)
    const line = second.line.trimEnd()
    expect(decodeLine(line, first.crc)?.entry.seq).toBe(2)
    expect(decodeLine(line, 0)).toBeUndefined()
    expect(decodeLine(line.replace('"b"', '"c"'), first.crc)).toBeUndefined()
  })
})
