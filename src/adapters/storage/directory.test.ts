import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { storagePlace } from './testing.ts'

const place = storagePlace()

describe('tenants and keys', () => {
  const tenant = {
    id: 'acme',
    plan: 'api',
    countries: ['NL'],
    subProcessors: 'any',
    allowSubstitutes: false,
    origin: 'database',
  } as const

  test('shows a key once and keeps only its digest', async () => {
    const store = await place.open()
    store.directory.addTenant({ ...tenant, tokensPerMinute: 5 })
    const { key, row } = store.directory.createKey('acme', 'ci', {}, 5)
    expect(key).toMatch(/^sk-spw-[\w-]{43}$/)
    expect(store.directory.digestOf(key)).toBe(row.digest)
    await store.close()
    for (const name of readdirSync(place.dir)) {
      if (name !== 'journal') expect(readFileSync(path.join(place.dir, name)).includes(key), name).toBe(false)
    }
    const again = await place.open()
    expect(again.directory.keys()).toEqual([row])
    expect(again.directory.tenants()).toEqual([{ ...tenant, tokensPerMinute: 5 }])
  })

  test('does not open without the secret that its keys were made with', async () => {
    const store = await place.open()
    store.directory.addTenant(tenant)
    store.directory.createKey('acme', '', {}, 1)
    await place.close()
    const pepper = path.join(place.dir, 'pepper')
    const whole = readFileSync(pepper)
    writeFileSync(pepper, whole.subarray(0, 7))
    await expect(place.open()).rejects.toThrow(/pepper is cut short/)
    rmSync(pepper)
    await expect(place.open()).rejects.toThrow(/pepper is missing/)
    writeFileSync(pepper, whole)
    await place.open()
  })

  test('tells of each change, and of a key that was revoked', async () => {
    const store = await place.open()
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
    const store = await place.open()
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
