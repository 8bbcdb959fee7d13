import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { FakeVendor } from './fake-vendor.ts'
import type { GatewayProcess } from './gateway-process.ts'
import { exportedRows } from './ledger-rows.ts'
import { acmeKey, startOver } from './setting.ts'

let vendor: FakeVendor
let gateway: GatewayProcess

beforeAll(async () => {
  vendor = await FakeVendor.start()
})
afterEach(() => gateway?.dispose())
afterAll(() => vendor?.down())

const start = async (plan: string) => {
  gateway = await startOver([{ name: 'own', vendor, subProcessor: 'self', country: 'GB' }], { plan })
}

async function ask(tier: string | undefined) {
  const before = vendor.chats.length
  const answer = await fetch(`${gateway.url}/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${acmeKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'chat-large', messages: [{ role: 'user', content: 'hi' }], service_tier: tier }),
  })
  return {
    status: answer.status,
    tier: answer.headers.get('x-spillway-tier'),
    id: answer.headers.get('x-request-id') ?? '',
    error: ((await answer.json()) as { error?: { code: string; param: string } }).error,
    sent: vendor.chats.slice(before).map(({ body }) => JSON.parse(body).service_tier),
  }
}

test('a request is served in the tier it asks for where its plan has it, and the answer and the ledger say in which', async () => {
  await start('{ priority: 30, tiers: { flex: { deadlineMs: 60000 } } }')
  const plain = await ask(undefined)
  expect(plain).toMatchObject({ status: 200, tier: 'default', sent: [undefined] })
  const flex = await ask('flex')
  expect(flex).toMatchObject({ status: 200, tier: 'flex', sent: ['flex'] })
  const batch = await ask('batch')
  expect(batch).toMatchObject({ status: 200, tier: 'batch', sent: ['default'] })
  const rows = await exportedRows(gateway)
  expect([plain, flex, batch].map(({ id }) => rows.get(id)?.tier)).toEqual(['default', 'flex', 'batch'])
})

test('a tier that is not granted is served as the default one', async () => {
  await start('{ priority: 30 }')
  expect(await ask('priority')).toMatchObject({ status: 200, tier: 'default', sent: ['default'] })
})

test('a tier that is not granted is refused where the plan says so', async () => {
  await start('{ priority: 30, otherTiers: refuse }')
  const error = { code: 'tier_not_allowed', param: 'service_tier' }
  expect(await ask('priority')).toMatchObject({ status: 403, error, sent: [] })
  expect(await ask('flex')).toMatchObject({ status: 200, tier: 'flex' })
})
