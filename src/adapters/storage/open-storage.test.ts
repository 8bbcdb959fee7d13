import { rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { directoryMigrations, ledgerMigrations, migrate } from './migrations.ts'
import { admitRecord, appendTo, attemptRecord, openTestStorage, settleRecord, storagePlace } from './testing.ts'

const place = storagePlace()

describe('the data directory', () => {
  test('belongs to one process', async () => {
    await place.open()
    await expect(openTestStorage(place.dir)).rejects.toThrow(/in use by another Spillway \(process \d+\)/)
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
        const billed = ['', '', ', 11, 0, 7'][version] ?? ', 11, 0, 7, 25000'
        old.exec(
          `insert into attempts values ('old', 1, 1, 1700000000001, 'chat/own', 'self', 'NL', 'm', null, null${billed})`,
        )
        old.exec("update progress set seq = 0 where name = 'cursor'")
      }
      old.close()
      const store = await place.open()
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
      await appendTo(store, admitRecord('a'), attemptRecord('a'), settleRecord('a'))
      await store.project()
      expect(store.ledger.request('a')?.state).toBe('ok')
      await place.close()
    }
  })

  test('that cannot be used, or whose ledger is damaged, says what to do', async () => {
    writeFileSync(path.join(place.dir, 'file'), '')
    await expect(openTestStorage(path.join(place.dir, 'file/data'))).rejects.toThrow(
      /cannot be used: .*; see that it can/,
    )
    writeFileSync(path.join(place.dir, 'ledger.db'), 'x'.repeat(10_000))
    await expect(place.open()).rejects.toThrow(/ledger\.db is damaged; move it away/)
    rmSync(path.join(place.dir, 'ledger.db'))
    await place.open()
  })

  test('of a newer Spillway is not touched', async () => {
    const newer = new DatabaseSync(path.join(place.dir, 'ledger.db'))
    newer.exec('pragma user_version = 99')
    newer.close()
    await expect(place.open()).rejects.toThrow(/written by a newer Spillway/)
  })
})
