import OpenAI from 'openai'
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

const start = async (plan: string, extra: Parameters<typeof startOver>[1] = {}) => {
  gateway = await startOver([{ name: 'own', vendor, subProcessor: 'self', country: 'GB' }], { plan, ...extra })
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

test('a refusal says what stood against it, in a field that the official client reads, and what else there is', async () => {
  await start('{ priority: 30 }', { concurrencyMax: 1, limits: '{ firstByteMs: 5000, queueMs: 300 }' })
  vendor.behaviour = { everyMs: 50 }
  const client = new OpenAI({ baseURL: gateway.url, apiKey: acmeKey, maxRetries: 0 })
  const messages = [{ role: 'user' as const, content: 'hi' }]
  const running = await client.chat.completions.create({ model: 'chat-large', messages, stream: true, max_tokens: 200 })
  const refused = client.chat.completions.create({ model: 'chat-large', messages })
  await expect(refused).rejects.toMatchObject({
    status: 504,
    code: 'queue_timeout',
    message: expect.stringContaining(
      'class enterprise/default, expected wait 10 s; what else there is: service_tier flex',
    ),
    error: {
      reason: {
        constraint: 'wait',
        class: 'enterprise/default',
        expected_wait_ms: 10_000,
        alternatives: { tier: 'flex' },
      },
    },
  })
  running.controller.abort()
})
