import { existsSync, mkdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FakeVendor } from './fake-vendor.ts'
import { type GatewayProcess, until } from './gateway-process.ts'
import { startOver } from './setting.ts'
import { streamChat } from './stream-chat.ts'

let vendor: FakeVendor
let gateway: GatewayProcess

beforeEach(async () => {
  vendor = await FakeVendor.start()
  gateway = await startOver([{ name: 'own', vendor, subProcessor: 'self', country: 'NL' }])
})
afterEach(async () => {
  await gateway?.dispose()
  await vendor.down()
})

describe('a command', () => {
  test('is not led astray by what a killed process left', { timeout: 30_000 }, async () => {
    await gateway.end('SIGKILL')
    expect(existsSync(path.join(gateway.dir, 'data/control.json'))).toBe(true)
    const made = await gateway.command('keys', 'create', '--tenant', 'acme', '--json')
    expect([made.code, made.err]).toEqual([0, ''])
    await gateway.run()
    const { key } = JSON.parse(made.out) as { key: string }
    expect(await streamChat(gateway.port, { maxTokens: 2, key })).toMatchObject({ whole: true })
  })

  test('that comes while the process starts waits for it', { timeout: 30_000 }, async () => {
    await gateway.end('SIGTERM')
    // Written by whoever takes the directory; the last one's is in the way.
    const owner = path.join(gateway.dir, 'data/owner')
    rmSync(owner)
    const starting = gateway.run()
    await until(() => existsSync(owner))
    const listed = await Promise.all([1, 2, 3].map(() => gateway.command('keys', 'list', '--json')))
    await starting
    for (const { code, err } of listed) expect([code, err]).toEqual([0, ''])
  })

  test('that goes wrong says it in one line', { timeout: 30_000 }, async () => {
    for (const words of [
      ['keys', 'create', '--tenant', 'nobody'],
      ['keys', 'revoke', 'k_0'],
      ['usage', 'request', 'req_0'],
      ['tenants', 'add', 'acme', '--plan', 'enterprise', '--countries', 'any', '--sub-processors', 'any'],
    ]) {
      const { code, out, err } = await gateway.command(...words)
      expect([code, out], err).toEqual([1, ''])
      expect(err).toMatch(/^spillway: [^\n]+\n$/)
    }
  })

  test('shows both sides of the books, which balance', { timeout: 30_000 }, async () => {
    await streamChat(gateway.port, { maxTokens: 5 })
    vendor.behaviour = { cutAfter: 3 }
    await streamChat(gateway.port, { maxTokens: 5 })
    const { out, code } = await gateway.command('usage', 'accounts', '--json')
    expect(code).toBe(0)
    const accounts = JSON.parse(out) as { account: string; usd: number }[]
    expect(accounts.map(({ account }) => account)).toEqual(['purchases', 'sales', 'tenant/acme', 'vendor/self'])
    expect(accounts.reduce((sum, { usd }) => sum + usd, 0)).toBeCloseTo(0, 12)
    expect(accounts.find(({ account }) => account === 'tenant/acme')?.usd).toBeGreaterThan(21e-6)
  })

  test('reaches a process whose data lies deep', { timeout: 30_000 }, async () => {
    await gateway.end('SIGTERM')
    const deep = path.join('a'.repeat(60), 'b'.repeat(60))
    mkdirSync(path.join(gateway.dir, deep), { recursive: true })
    gateway.edit((text) => text.replace('dataDir: ./data', `dataDir: ./${deep}`))
    await gateway.run()
    const made = await gateway.command('keys', 'create', '--tenant', 'acme', '--json')
    expect([made.code, made.err]).toEqual([0, ''])
    const { key } = JSON.parse(made.out) as { key: string }
    expect(await streamChat(gateway.port, { maxTokens: 2, key })).toMatchObject({ whole: true })
  })
})
