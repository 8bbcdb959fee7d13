import { rmSync } from 'node:fs'
import path from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Storage, UsageRow } from './storage.ts'
import { admitRecord, appendTo, attemptRecord, settleRecord, storagePlace, testWallMs } from './testing.ts'

const place = storagePlace()
const rows = (from: Storage): UsageRow[] => [...from.ledger.rows()]

describe('the ledger', () => {
  test('is read by pages, what is open on the last, each row once', async () => {
    const store = await place.open()
    const ids = Array.from({ length: 2_300 }, (_, index) => `r${String(index).padStart(4, '0')}`)
    await appendTo(store, ...ids.flatMap((id) => [admitRecord(id), attemptRecord(id)]))
    await appendTo(store, ...ids.slice(0, -1).map((id) => settleRecord(id, 1)))
    await appendTo(store, admitRecord('other', 'globex'), attemptRecord('other'))
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
    const store = await place.open()
    for (const id of ['a', 'b']) await appendTo(store, admitRecord(id), attemptRecord(id))
    await appendTo(store, settleRecord('a', 7), settleRecord('b', 9))
    await appendTo(store, {
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
    expect(store.ledger.spentNanoUsd('tenant', testWallMs)).toEqual(new Map([['acme', 54_000]]))
    expect(store.ledger.spentNanoUsd('key', testWallMs)).toEqual(new Map([['k_1', 54_000]]))
    expect(store.ledger.spentNanoUsd('tenant', 0)).toEqual(new Map())
  })

  test('loses nothing and doubles nothing wherever a crash cuts the history', async () => {
    const step = fc.record({
      id: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      kind: fc.constantFrom('mark', 'outcome', 'settle'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), fc.boolean(), async (steps, ledgerIsLost) => {
        place.renew()
        const first = await place.open()
        const attempts = new Map<string, number>()
        const settled = new Map<string, number>()
        const marked = new Map<string, number>()
        for (const { id, kind } of steps) {
          if (settled.has(id)) continue
          const n = attempts.get(id) ?? 1
          if (!attempts.has(id)) await appendTo(first, admitRecord(id), attemptRecord(id))
          attempts.set(id, n)
          if (kind === 'mark') {
            marked.set(id, (marked.get(id) ?? 0) + 100)
            await appendTo(first, { kind: 'mark', id, n, outputTokens: marked.get(id) as number })
          } else if (kind === 'outcome') {
            await appendTo(
              first,
              { kind: 'outcome', id, n, wallMs: 1, failure: 'reset', status: null, tokens: null },
              attemptRecord(id, n + 1),
            )
            attempts.set(id, n + 1)
          } else {
            settled.set(id, steps.length)
            await appendTo(first, settleRecord(id, steps.length, n))
          }
        }
        // A crash: what was not closed is simply no longer there. The lock goes with the process.
        await first.close()
        if (ledgerIsLost)
          for (const name of ['ledger.db', 'ledger.db-wal', 'ledger.db-shm'])
            rmSync(path.join(place.dir, name), { force: true })
        const second = await place.open()
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
        const third = await place.open()
        expect(rows(third)).toEqual([...found.values()])
        await place.close()
      }),
      { numRuns: 40, seed: 11 },
    )
  }, 60_000)
})
