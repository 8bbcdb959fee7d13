import { createHash } from 'node:crypto'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { JournalRecord } from './journal-record.ts'
import type { Storage } from './storage.ts'
import { admitRecord, appendTo, attemptRecord, openTestStorage, settleRecord, temporaryDir } from './testing.ts'

let place: ReturnType<typeof temporaryDir>
let storage: Storage
const open = async () => {
  storage = await openTestStorage(place.dir)
}
beforeEach(async () => {
  place = temporaryDir()
  await open()
})
afterEach(async () => {
  await storage.close()
  place.remove()
})

const append = (...records: JournalRecord[]) => appendTo(storage, ...records)
const segments = () =>
  readdirSync(path.join(place.dir, 'journal'))
    .filter((name) => name.endsWith('.ndjson'))
    .sort()

/** Of all that the tables hold. */
function hashOfRows(): string {
  const database = new DatabaseSync(path.join(place.dir, 'ledger.db'), { readOnly: true })
  const hash = createHash('sha256')
  for (const table of ['requests', 'attempts', 'spending'])
    for (const row of database.prepare(`select * from ${table}`).iterate()) hash.update(JSON.stringify(row))
  database.close()
  return hash.digest('hex')
}

async function live(count: number): Promise<void> {
  // A few at a time, so that there are many writes and not too many.
  for (let from = 0; from < count; from += 20) {
    const records: JournalRecord[] = []
    for (let i = from; i < from + 20; i++) {
      const id = `r${i}`
      records.push(admitRecord(id), attemptRecord(id))
      if (i % 5 === 0) {
        records.push({ kind: 'outcome', id, n: 1, wallMs: 1, failure: 'reset', status: null, tokens: null })
        records.push(attemptRecord(id, 2))
      }
      records.push({ kind: 'mark', id, n: 1, outputTokens: 64 }, settleRecord(id, i, i % 5 === 0 ? 2 : 1))
    }
    await append(...records)
  }
  await storage.project()
}

describe('a ledger that is made again from the journal', () => {
  test('is the same to the last bit, three times over, and after it was lost', async () => {
    await live(300)
    expect(segments().length).toBeGreaterThan(2)
    const before = hashOfRows()
    for (let round = 0; round < 3; round++) {
      expect(await storage.rebuild()).toEqual({ requests: 300 })
      expect(hashOfRows()).toBe(before)
    }
    await storage.close()
    for (const end of ['', '-wal', '-shm']) rmSync(path.join(place.dir, `ledger.db${end}`), { force: true })
    await open()
    expect(hashOfRows()).toBe(before)
  })

  test('has what an intruder changed, took out or put in set right', async () => {
    await live(20)
    const before = hashOfRows()
    await storage.close()
    const intruder = new DatabaseSync(path.join(place.dir, 'ledger.db'))
    intruder.exec(`drop trigger requests_stay; drop trigger requests_remain;
      update requests set nano_usd = 1 where id = 'r3'; delete from requests where id = 'r4';
      insert into requests select 'x', seq, wall_ms, tenant, key_id, plan, model, operation, stream, state, source, 1, 0, 1,
        1, 1, endpoint, sub_processor, country, status, code, 1, 1, 1, 1, '', 0, tier from requests where id = 'r5'`)
    intruder.close()
    await open()
    await storage.rebuild()
    expect(hashOfRows()).toBe(before)
  })

  test('keeps the rows of which the journal tells no longer all', async () => {
    // It begins in the oldest segment and ends in the newest.
    await append(admitRecord('long'), attemptRecord('long'))
    await live(300)
    await append(settleRecord('long', 5))
    await storage.project()
    const before = hashOfRows()
    const all = segments()
    for (const name of all.slice(0, 2)) rmSync(path.join(place.dir, 'journal', name))
    const { requests } = await storage.rebuild()
    expect(requests).toBeLessThan(300)
    expect(hashOfRows()).toBe(before)
    expect(storage.ledger.request('long')).toMatchObject({ state: 'ok', outputTokens: 5 })
  })

  test('takes in what ends while it is made, and what is open goes on', async () => {
    await live(200)
    await append(admitRecord('open'), attemptRecord('open'))
    const rebuilding = storage.rebuild()
    await append(admitRecord('late'), attemptRecord('late'), settleRecord('late', 3))
    expect(storage.ledger.request('r5')).toBeDefined()
    await rebuilding
    await append(settleRecord('open', 9))
    await storage.project()
    for (const id of ['late', 'open']) expect(storage.ledger.request(id)).toMatchObject({ state: 'ok' })
    const before = hashOfRows()
    await storage.rebuild()
    expect(hashOfRows()).toBe(before)
  })

  test('is made from segments that stay until it is whole, however old they are', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    try {
      await storage.close()
      storage = await openTestStorage(place.dir, { retentionDays: 0, clock: { nowMs: () => 0, wallMs: Date.now } })
      await live(300)
      const before = hashOfRows()
      const rebuilding = storage.rebuild()
      vi.advanceTimersByTime(60_000)
      await rebuilding
      expect(hashOfRows()).toBe(before)
      expect(segments().length).toBeGreaterThan(2)
      vi.advanceTimersByTime(60_000)
      expect(segments().length).toBeLessThanOrEqual(2)
    } finally {
      vi.useRealTimers()
    }
  })

  test('is made once at a time, and leaves nothing beside it', async () => {
    await live(40)
    const rebuilding = storage.rebuild()
    await expect(storage.rebuild()).rejects.toThrow(/being made again already/)
    await rebuilding
    expect(existsSync(path.join(place.dir, 'ledger.db.next'))).toBe(false)
  })
})
