import { appendFileSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Clock } from '../../core/clock.ts'
import type { JournalRecord } from './journal-record.ts'
import { directoryMigrations, ledgerMigrations, migrate } from './migrations.ts'
import { openStorage } from './open-storage.ts'
import type { Storage, UsageRow } from './storage.ts'
import { admitRecord, attemptRecord, plainDisk, settleRecord, temporaryDir } from './testing.ts'

let place: ReturnType<typeof temporaryDir>
let storage: Storage | undefined
beforeEach(() => {
  place = temporaryDir()
})
afterEach(async () => {
  await storage?.close()
  storage = undefined
  place.remove()
})

const clock = { nowMs: () => 0, wallMs: () => 1_700_000_001_000 }
const open = async (options: { segmentBytesMax?: number; retentionDays?: number; clock?: Clock } = {}) => {
  storage = await openStorage({
    dataDir: place.dir,
    segmentBytesMax: 1 << 20,
    retentionDays: 35,
    clock,
    onFatal: () => {},
    disk: plainDisk,
    ...options,
  })
  return storage
}
const append = (to: Storage, ...records: JournalRecord[]) =>
  new Promise<void>((resolve, reject) => to.journal.append(records, (error) => (error ? reject(error) : resolve())))
const rows = (from: Storage): UsageRow[] => [...from.ledger.rows()]

describe('the ledger', () => {
  test('is read by pages, what is open on the last, each row once', async () => {
    const store = await open()
    const ids = Array.from({ length: 2_300 }, (_, index) => `r${String(index).padStart(4, '0')}`)
    await append(store, ...ids.flatMap((id) => [admitRecord(id), attemptRecord(id)]))
    await append(store, ...ids.slice(0, -1).map((id) => settleRecord(id, 1)))
    await append(store, admitRecord('other', 'globex'), attemptRecord('other'))
    await store.project()
    const pages: string[][] = []
    for (let after: string | null = ''; after !== null; ) {
      const page = store.ledger.page(after, 'acme')
      pages.push(page.rows.map(({ id }) => id))
      after = page.next
    }
    expect(pages.map(({ length }) => length)).toEqual([1_000, 1_000, 300])
    expect(pages.flat()).toEqual(ids)
    expect(store.ledger.page('').rows[0]).toEqual(rows(store)[0])
  })

  test('has one row for each request that ended, and sums them', async () => {
    const store = await open()
    for (const id of ['a', 'b']) await append(store, admitRecord(id), attemptRecord(id))
    await append(store, settleRecord('a', 7), settleRecord('b', 9))
    await append(store, {
      kind: 'refuse',
      id: 'c',
      wallMs: 1_700_000_000_000,
      tenant: 'acme',
      keyId: 'k_1',
      model: 'chat',
      status: 429,
      code: 'rate_limit_exceeded',
    })
    await store.project()
    expect(rows(store).map(({ id, state, outputTokens, country }) => [id, state, outputTokens, country])).toEqual([
      ['a', 'ok', 7, 'NL'],
      ['b', 'ok', 9, 'NL'],
      ['c', 'refused', 0, null],
    ])
    expect(store.ledger.usage({ groupBy: ['tenant', 'state'] })).toEqual([
      {
        group: { tenant: 'acme', state: 'ok' },
        requests: 2,
        inputTokens: 22,
        cachedInputTokens: 0,
        outputTokens: 16,
        usd: 5.4e-5,
      },
      {
        group: { tenant: 'acme', state: 'refused' },
        requests: 1,
        inputTokens: 0,
        cachedInputTokens: 0,
        outputTokens: 0,
        usd: 0,
      },
    ])
    expect(store.ledger.spentNanoUsd('tenant', clock.wallMs())).toEqual(new Map([['acme', 54_000]]))
    expect(store.ledger.spentNanoUsd('key', clock.wallMs())).toEqual(new Map([['k_1', 54_000]]))
    expect(store.ledger.spentNanoUsd('tenant', 0)).toEqual(new Map())
  })

  test('loses nothing and doubles nothing wherever a crash cuts the history', async () => {
    const step = fc.record({
      id: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      kind: fc.constantFrom('mark', 'outcome', 'settle'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), fc.boolean(), async (steps, ledgerIsLost) => {
        place.remove()
        place = temporaryDir()
        const first = await open()
        const attempts = new Map<string, number>()
        const settled = new Map<string, number>()
        const marked = new Map<string, number>()
        for (const { id, kind } of steps) {
          if (settled.has(id)) continue
          const n = attempts.get(id) ?? 1
          if (!attempts.has(id)) await append(first, admitRecord(id), attemptRecord(id))
          attempts.set(id, n)
          if (kind === 'mark') {
            marked.set(id, (marked.get(id) ?? 0) + 100)
            await append(first, { kind: 'mark', id, n, outputTokens: marked.get(id) as number })
          } else if (kind === 'outcome') {
            await append(
              first,
              { kind: 'outcome', id, n, wallMs: 1, failure: 'reset', status: null, tokens: null },
              attemptRecord(id, n + 1),
            )
            attempts.set(id, n + 1)
          } else {
            settled.set(id, steps.length)
            await append(first, settleRecord(id, steps.length, n))
          }
        }
        // A crash: what was not closed is simply no longer there. The lock goes with the process.
        await first.close()
        if (ledgerIsLost)
          for (const name of ['ledger.db', 'ledger.db-wal', 'ledger.db-shm'])
            rmSync(path.join(place.dir, name), { force: true })
        const second = await open()
        const found = new Map(rows(second).map((row) => [row.id, row]))
        expect([...found.keys()].sort()).toEqual([...attempts.keys()].sort())
        for (const [id, row] of found) {
          const tokens = settled.get(id)
          if (tokens !== undefined) expect(row).toMatchObject({ state: 'ok', outputTokens: tokens, estimated: false })
          else
            expect(row).toMatchObject({
              state: 'partial',
              outputTokens: Math.max(64, marked.get(id) ?? 0),
              inputTokens: 100,
              estimated: true,
            })
        }
        await second.close()
        const third = await open()
        expect(rows(third)).toEqual([...found.values()])
        await third.close()
        storage = undefined
      }),
      { numRuns: 40, seed: 11 },
    )
  }, 60_000)

  test('opens with a torn tail, keeps it for those who look, and goes on after it', async () => {
    const first = await open()
    await append(first, admitRecord('a'), attemptRecord('a'), settleRecord('a'))
    await first.close()
    const dir = path.join(place.dir, 'journal')
    const file = path.join(dir, readdirSync(dir).find((name) => name.endsWith('.ndjson')) as string)
    appendFileSync(file, '1234abcd {"seq":4,"kind":"adm')
    const second = await open()
    await append(second, admitRecord('b'), attemptRecord('b'), settleRecord('b'))
    await second.project()
    expect(rows(second).map(({ id }) => id)).toEqual(['a', 'b'])
    expect(readFileSync(`${file}.torn`, 'utf8')).toContain('"adm')
  })

  test('does not open over a journal that is damaged before its end', async () => {
    const first = await open({ segmentBytesMax: 65_536 })
    for (let i = 0; i < 300; i++)
      await append(first, admitRecord(`r${i}`), attemptRecord(`r${i}`), settleRecord(`r${i}`))
    await first.close()
    storage = undefined
    const dir = path.join(place.dir, 'journal')
    const [oldest] = readdirSync(dir)
      .filter((name) => name.endsWith('.ndjson'))
      .sort()
    const file = path.join(dir, oldest as string)
    writeFileSync(file, readFileSync(file, 'utf8').replace('"tenant":"acme"', '"tenant":"evil"'))
    rmSync(path.join(place.dir, 'ledger.db'))
    await expect(open()).rejects.toThrow(/damaged: .* at byte/)
  })
})

describe('the journal', () => {
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
      await append(store, ...some.flatMap((id) => [admitRecord(id), attemptRecord(id), settleRecord(id)]))
    }
    await store.project()
  }

  test.each([
    ['all of it', () => journalFiles(), /not whole: it ends with 0, but the ledger has read up to 900/],
    ['its end', () => journalFiles().slice(-1), /not whole: it ends with \d+, but the ledger has read up to 900/],
    ['a part', () => journalFiles().slice(-2, -1), undefined],
  ])('of which %s is missing is not taken for whole', async (_what, missing, words) => {
    const first = await open({ segmentBytesMax: 65_536 })
    await fill(first)
    await first.close()
    storage = undefined
    for (const file of missing()) rmSync(file)
    // What is in the ledger already is not read again.
    if (words === undefined) await open()
    else await expect(open()).rejects.toThrow(words)
    await (storage as Storage | undefined)?.close()
    storage = undefined
    for (const name of ['ledger.db', 'ledger.db-wal', 'ledger.db-shm'])
      rmSync(path.join(place.dir, name), { force: true })
    if (words === undefined) await expect(open()).rejects.toThrow(/not whole: \S+ begins with \d+, but \d+ is next/)
  })

  test('that begins after what the ledger has read is not taken for whole', async () => {
    const first = await open({ segmentBytesMax: 65_536 })
    await append(first, admitRecord('open'))
    await fill(first)
    await first.close()
    storage = undefined
    const [oldest] = journalFiles()
    rmSync(oldest as string)
    // The oldest segment held what was open, up to which alone the ledger has read.
    await expect(open()).rejects.toThrow(/not whole/)
  })

  test('gives up segments that are old and in the ledger, and none that is needed', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    try {
      const store = await open({ segmentBytesMax: 65_536, retentionDays: 0, clock: { ...clock, wallMs: Date.now } })
      await append(store, admitRecord('open'), attemptRecord('open'))
      await fill(store)
      const before = journalFiles()
      expect(before.length).toBeGreaterThan(2)
      vi.advanceTimersByTime(60_000)
      expect(journalFiles()).toEqual(before)
      await append(store, settleRecord('open'))
      await store.project()
      vi.advanceTimersByTime(60_000)
      expect(journalFiles()).toHaveLength(1)
      expect(rows(store)).toHaveLength(301)
      await store.close()
      // The ledger alone has them now, and had them on the disk itself before they went.
      expect(rows(await open())).toHaveLength(301)
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('the data directory', () => {
  test('belongs to one process', async () => {
    await open()
    await expect(
      openStorage({ dataDir: place.dir, segmentBytesMax: 1, retentionDays: 1, clock, onFatal: () => {} }),
    ).rejects.toThrow(/in use by another Spillway \(process \d+\)/)
  })

  test.each([
    ['directory', 'spillway.db', directoryMigrations],
    ['ledger', 'ledger.db', ledgerMigrations],
  ])('is brought up to date from every earlier version of its %s', async (_what, name, migrations) => {
    for (let version = 0; version < migrations.length; version++) {
      rmSync(path.join(place.dir, name), { force: true })
      const old = new DatabaseSync(path.join(place.dir, name))
      migrate(old, migrations.slice(0, version), name)
      if (name === 'spillway.db' && version === 1) {
        old.exec(
          `insert into tenants values ('acme', 'api', '"any"', '["self"]', 0, '{}'); insert into keys values ('k_1', 'acme', 'd', 'hint', 'l', 1, null)`,
        )
        writeFileSync(path.join(place.dir, 'pepper'), 'x'.repeat(32))
      }
      if (name === 'ledger.db' && version >= 1) {
        old.exec(`insert into requests values ('old', 1, 1700000000000, 'acme', 'k_1', 'api', 'chat', 'chat/completions', 1, 'ok',
          'upstream', 11, 0, 7, 25000, 1, 'chat/own', 'self', 'NL', 200, null, 100, 499, 1, 1, 'config'${version >= 3 ? ', 0' : ''})`)
        const billed = ['', '', ', 11, 0, 7', ', 11, 0, 7, 25000'][version]
        old.exec(
          `insert into attempts values ('old', 1, 1, 1700000000001, 'chat/own', 'self', 'NL', 'm', null, null${billed})`,
        )
        old.exec("update progress set seq = 0 where name = 'cursor'")
      }
      old.close()
      const store = await open()
      if (name === 'ledger.db' && version >= 1) {
        expect(store.ledger.request('old')).toMatchObject({
          tenant: 'acme',
          outputTokens: 7,
          nanoUsd: 25_000,
          attempts: 1,
        })
        expect(store.ledger.spentNanoUsd('tenant', 1_700_000_000_000).get('acme')).toBeGreaterThanOrEqual(25_000)
      }
      if (name === 'spillway.db' && version === 1) {
        expect(store.directory.tenants()).toMatchObject([{ id: 'acme', countries: 'any', subProcessors: ['self'] }])
        expect(store.directory.keys()).toMatchObject([{ id: 'k_1', tenant: 'acme', revokedWallMs: null }])
      }
      await append(store, admitRecord('a'), attemptRecord('a'), settleRecord('a'))
      await store.project()
      expect(store.ledger.request('a')?.state).toBe('ok')
      await store.close()
      storage = undefined
    }
  })

  test('that cannot be used, or whose ledger is damaged, says what to do', async () => {
    writeFileSync(path.join(place.dir, 'file'), '')
    const under = { dataDir: path.join(place.dir, 'file/data'), segmentBytesMax: 1, retentionDays: 1, clock }
    await expect(openStorage({ ...under, onFatal: () => {} })).rejects.toThrow(/cannot be used: .*; see that it can/)
    writeFileSync(path.join(place.dir, 'ledger.db'), 'x'.repeat(10_000))
    await expect(open()).rejects.toThrow(/ledger\.db is damaged; move it away/)
    rmSync(path.join(place.dir, 'ledger.db'))
    await open()
  })

  test('of a newer Spillway is not touched', async () => {
    const newer = new DatabaseSync(path.join(place.dir, 'ledger.db'))
    newer.exec('pragma user_version = 99')
    newer.close()
    await expect(open()).rejects.toThrow(/written by a newer Spillway/)
  })
})

describe('the directory', () => {
  const tenant = {
    id: 'acme',
    plan: 'api',
    countries: ['NL'],
    subProcessors: 'any',
    allowSubstitutes: false,
    origin: 'database',
  } as const

  test('shows a key once and keeps only its digest', async () => {
    const store = await open()
    store.directory.addTenant({ ...tenant, tokensPerMinute: 5 })
    const { key, row } = store.directory.createKey('acme', 'ci', {}, 5)
    expect(key).toMatch(/^sk-spw-[\w-]{43}$/)
    expect(store.directory.digestOf(key)).toBe(row.digest)
    await store.close()
    for (const name of readdirSync(place.dir)) {
      if (name !== 'journal') expect(readFileSync(path.join(place.dir, name)).includes(key), name).toBe(false)
    }
    const again = await open()
    expect(again.directory.keys()).toEqual([row])
    expect(again.directory.tenants()).toEqual([{ ...tenant, tokensPerMinute: 5 }])
  })

  test('does not open without the secret that its keys were made with', async () => {
    const store = await open()
    store.directory.addTenant(tenant)
    store.directory.createKey('acme', '', {}, 1)
    await store.close()
    storage = undefined
    const pepper = path.join(place.dir, 'pepper')
    const whole = readFileSync(pepper)
    writeFileSync(pepper, whole.subarray(0, 7))
    await expect(open()).rejects.toThrow(/pepper is cut short/)
    rmSync(pepper)
    await expect(open()).rejects.toThrow(/pepper is missing/)
    writeFileSync(pepper, whole)
    await open()
  })

  test('tells of each change, and of a key that was revoked', async () => {
    const store = await open()
    let changes = 0
    store.directory.onChange(() => changes++)
    store.directory.addTenant(tenant)
    const { row } = store.directory.createKey('acme', '', {}, 5)
    store.directory.revokeKey(row.id, 9)
    expect(changes).toBe(3)
    expect(store.directory.keys()[0]?.revokedWallMs).toBe(9)
    expect(() => store.directory.revokeKey(row.id, 9)).toThrow(/no valid key/)
  })

  test('keeps the rows of the file apart and refuses a clash of ids', async () => {
    const store = await open()
    store.directory.addTenant(tenant)
    expect(() => store.directory.setFileRows([{ ...tenant, origin: 'file' }], [])).toThrow(/stands in the database too/)
    store.directory.setFileRows([{ ...tenant, id: 'other', origin: 'file' }], [])
    expect(store.directory.tenants().map(({ id, origin }) => [id, origin])).toEqual([
      ['other', 'file'],
      ['acme', 'database'],
    ])
    expect(() => store.directory.addTenant({ ...tenant, id: 'other' })).toThrow(/already/)
    const { row } = store.directory.createKey('acme', '', {}, 1)
    const fileKey = { ...row, origin: 'file', tenant: 'other', label: 'KEY' } as const
    expect(() => store.directory.setFileRows([], [fileKey])).toThrow(
      /the key KEY of the tenant other .* is a key of acme/,
    )
    const own = { ...fileKey, digest: 'own' }
    expect(() => store.directory.setFileRows([], [own, { ...own, tenant: 'third' }])).toThrow(
      /is a key of other already/,
    )
    // What was refused has changed nothing.
    expect(store.directory.tenants().map(({ id }) => id)).toEqual(['other', 'acme'])
    expect(() => store.directory.createKey('nobody', '', {}, 1)).toThrow(/no tenant nobody/)
  })
})
