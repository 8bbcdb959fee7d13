import { appendFileSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import type { Storage, UsageRow } from './storage.ts'
import { admitRecord, appendTo, attemptRecord, settleRecord, storagePlace } from './testing.ts'

const place = storagePlace()
const rows = (from: Storage): UsageRow[] => [...from.ledger.rows()]

describe('the journal that a start finds', () => {
  const journalFiles = () =>
    readdirSync(path.join(place.dir, 'journal'))
      .filter((name) => name.endsWith('.ndjson'))
      .sort()
      .map((name) => path.join(place.dir, 'journal', name))
      // One that nothing was written to yet is none.
      .filter((file) => statSync(file).size > 0)
  const fill = async (store: Storage) => {
    const ids = Array.from({ length: 300 }, (_, i) => `r${i}`)
    for (let at = 0; at < 300; at += 20) {
      const some = ids.slice(at, at + 20)
      await appendTo(store, ...some.flatMap((id) => [admitRecord(id), attemptRecord(id), settleRecord(id)]))
    }
    await store.project()
  }

  test.each([
    ['all of it', () => journalFiles(), /not whole: it ends with 0, but the ledger has read up to 900/],
    ['its end', () => journalFiles().slice(-1), /not whole: it ends with \d+, but the ledger has read up to 900/],
    ['a part', () => journalFiles().slice(-2, -1), undefined],
  ])('of which %s is missing is not taken for whole', async (_what, missing, words) => {
    const first = await place.open()
    await fill(first)
    await place.close()
    for (const file of missing()) rmSync(file)
    // What is in the ledger already is not read again.
    if (words === undefined) await place.open()
    else await expect(place.open()).rejects.toThrow(words)
    await place.close()
    for (const name of ['ledger.db', 'ledger.db-wal', 'ledger.db-shm'])
      rmSync(path.join(place.dir, name), { force: true })
    if (words === undefined)
      await expect(place.open()).rejects.toThrow(/not whole: \S+ begins with \d+, but \d+ is next/)
  })

  test('that begins after what the ledger has read is not taken for whole', async () => {
    const first = await place.open()
    await appendTo(first, admitRecord('open'))
    await fill(first)
    await place.close()
    const [oldest] = journalFiles()
    rmSync(oldest as string)
    // The oldest segment held what was open, up to which alone the ledger has read.
    await expect(place.open()).rejects.toThrow(/not whole/)
  })

  test('gives up segments that are old and in the ledger, and none that is needed', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    try {
      const store = await place.open({ retentionDays: 0, clock: { nowMs: () => 0, wallMs: Date.now } })
      await appendTo(store, admitRecord('open'), attemptRecord('open'))
      await fill(store)
      const before = journalFiles()
      expect(before.length).toBeGreaterThan(2)
      vi.advanceTimersByTime(60_000)
      expect(journalFiles()).toEqual(before)
      await appendTo(store, settleRecord('open'))
      await store.project()
      vi.advanceTimersByTime(60_000)
      expect(journalFiles()).toHaveLength(1)
      expect(rows(store)).toHaveLength(301)
      await store.close()
      // The ledger alone has them now, and had them on the disk itself before they went.
      expect(rows(await place.open())).toHaveLength(301)
    } finally {
      vi.useRealTimers()
    }
  })

  test('opens with a torn tail, keeps it for those who look, and goes on after it', async () => {
    const first = await place.open()
    await appendTo(first, admitRecord('a'), attemptRecord('a'), settleRecord('a'))
    await first.close()
    const dir = path.join(place.dir, 'journal')
    const file = path.join(dir, readdirSync(dir).find((name) => name.endsWith('.ndjson')) as string)
    appendFileSync(file, '1234abcd {"seq":4,"kind":"adm')
    const second = await place.open()
    await appendTo(second, admitRecord('b'), attemptRecord('b'), settleRecord('b'))
    await second.project()
    expect(rows(second).map(({ id }) => id)).toEqual(['a', 'b'])
    expect(readFileSync(`${file}.torn`, 'utf8')).toContain('"adm')
  })

  test('does not open over a journal that is damaged before its end', async () => {
    const first = await place.open()
    for (let i = 0; i < 300; i++)
      await appendTo(first, admitRecord(`r${i}`), attemptRecord(`r${i}`), settleRecord(`r${i}`))
    await place.close()
    const dir = path.join(place.dir, 'journal')
    const [oldest] = readdirSync(dir)
      .filter((name) => name.endsWith('.ndjson'))
      .sort()
    const file = path.join(dir, oldest as string)
    writeFileSync(file, readFileSync(file, 'utf8').replace('"tenant":"acme"', '"tenant":"evil"'))
    rmSync(path.join(place.dir, 'ledger.db'))
    await expect(place.open()).rejects.toThrow(/damaged: .* at byte/)
  })
})
