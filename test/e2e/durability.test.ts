import { afterEach, describe, expect, test } from 'vitest'
import { FakeVendor } from './fake-vendor.ts'
import { type GatewayProcess, pause } from './gateway-process.ts'
import { startOver } from './setting.ts'
import { type SeenStream, streamChat } from './stream-chat.ts'

let vendor: FakeVendor
let gateway: GatewayProcess | undefined

afterEach(async () => {
  await gateway?.dispose()
  await vendor?.down()
})

interface ExportedRow {
  readonly id: string
  readonly state: string
  readonly estimated: boolean
  readonly outputTokens: number
  readonly inputTokens: number
}

async function ledger(running: GatewayProcess): Promise<Map<string, ExportedRow>> {
  const { code, out, err } = await running.cli('usage', 'export', '--json')
  if (code !== 0) throw new Error(err)
  const rows = JSON.parse(out) as ExportedRow[]
  const byId = new Map<string, ExportedRow>()
  for (const row of rows) {
    expect(byId.has(row.id), `${row.id} stands twice in the ledger`).toBe(false)
    byId.set(row.id, row)
  }
  return byId
}

describe('what happened is not lost', () => {
  test('SIGKILL under load, 20 times: nothing lost, nothing doubled, nothing under-metered', {
    timeout: 120_000,
  }, async () => {
    vendor = await FakeVendor.start()
    vendor.behaviour = { everyMs: 2 }
    gateway = await startOver([{ name: 'own', vendor, subProcessor: 'self', country: 'NL' }])
    const seen: SeenStream[] = []
    for (let round = 0; round < 20; round++) {
      let over = false
      const clients = Array.from({ length: 12 }, async (_, index) => {
        while (!over) {
          const one = await streamChat((gateway as GatewayProcess).port, {
            maxTokens: 5 + ((index * 37 + round * 11) % 150),
          })
          if (one.id !== undefined) seen.push(one)
          else await pause(5)
        }
      })
      await pause(150 + ((round * 53) % 200))
      over = true
      await gateway.end('SIGKILL')
      await Promise.all(clients)
      await gateway.run()
    }
    const rows = await ledger(gateway)
    expect(seen.length).toBeGreaterThan(100)
    expect(seen.some(({ whole }) => !whole)).toBe(true)
    for (const one of seen) {
      const row = rows.get(one.id as string)
      expect(row, `${one.id} was delivered but is not in the ledger`).toBeDefined()
      if (row === undefined) continue
      if (one.whole) {
        expect(row).toMatchObject({ state: 'ok', estimated: false, outputTokens: one.tokens })
      } else {
        expect(row.outputTokens).toBeGreaterThanOrEqual(one.tokens)
        // The vendor may have handed over more than the client had read when it was cut.
        if (row.state === 'partial') expect(row.estimated).toBe(true)
      }
    }
    for (const row of rows.values()) expect(row.state).not.toBe('open')
  })

  test('SIGTERM lets open answers end, then exits with 0', { timeout: 30_000 }, async () => {
    vendor = await FakeVendor.start()
    vendor.behaviour = { everyMs: 20 }
    gateway = await startOver([{ name: 'own', vendor, subProcessor: 'self', country: 'NL' }])
    const running = streamChat(gateway.port, { maxTokens: 40 })
    await pause(200)
    const ended = gateway.end('SIGTERM')
    expect(await running).toMatchObject({ tokens: 40, whole: true })
    expect(await ended).toBe(0)
  })

  test('an answer that outlasts the drain ends in an error event and is settled', { timeout: 30_000 }, async () => {
    vendor = await FakeVendor.start()
    vendor.behaviour = { everyMs: 50 }
    gateway = await startOver([{ name: 'own', vendor, subProcessor: 'self', country: 'NL' }], {
      limits: '{ drainMs: 300 }',
    })
    const running = streamChat(gateway.port, { maxTokens: 1000 })
    await pause(300)
    expect(await gateway.end('SIGTERM')).toBe(0)
    const seen = await running
    expect(seen.whole).toBe(false)
    await gateway.run()
    const row = (await ledger(gateway)).get(seen.id as string)
    expect(row).toMatchObject({ state: 'partial', estimated: true })
    expect(row?.outputTokens).toBeGreaterThanOrEqual(seen.tokens)
    expect(row?.outputTokens).toBeLessThanOrEqual(seen.tokens + 64)
  })

  test('a second process on the same data directory refuses to start', { timeout: 30_000 }, async () => {
    vendor = await FakeVendor.start()
    gateway = await startOver([{ name: 'own', vendor, subProcessor: 'self', country: 'NL' }])
    const second = await gateway.cli('up')
    expect(second.code).toBe(1)
    expect(second.err).toMatch(/data|already|in use/i)
  })
})
