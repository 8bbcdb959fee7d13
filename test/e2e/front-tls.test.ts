import path from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { FakeVendor } from './fake-vendor.ts'
import { GatewayProcess, pause, until } from './gateway-process.ts'
import { chatBody, RawClient, rawRequest } from './raw-client.ts'
import { acmeKey, keysEnv, yamlFor } from './setting.ts'

const headMs = 1_500
const stallMs = 1_500
const connectionsMax = 30
const fixtures = path.join(import.meta.dirname, '../fixtures/tls')

let vendor: FakeVendor
let gateway: GatewayProcess

beforeAll(async () => {
  vendor = await FakeVendor.start()
  const yaml = yamlFor([{ name: 'own', vendor, subProcessor: 'self', country: 'NL' }], {
    limits: `{ requestHeadMs: ${headMs}, streamIdleMs: ${stallMs}, connectionsMax: ${connectionsMax} }`,
  })
  const tls = `tls: { cert: "${fixtures}/cert.pem", key: "${fixtures}/key.pem" }\n`
  gateway = await GatewayProcess.start(tls + yaml, keysEnv)
})

afterAll(async () => {
  await gateway?.dispose()
  await vendor?.down()
})

beforeEach(() => {
  vendor.behaviour = {}
  vendor.seen.length = 0
})

test('over TLS a stream is served, and one connection carries many requests', async () => {
  const client = await RawClient.openTls(gateway.port)
  for (let i = 0; i < 3; i++) client.send(rawRequest(chatBody({ max_tokens: 1 }), { key: acmeKey }))
  await until(() => client.answers.length === 3)
  client.send(rawRequest(chatBody({ stream: true }), { key: acmeKey }))
  await client.until((text) => text.includes('[DONE]'))
  client.end()
})

test('a refusal before the end of the body can be read', async () => {
  const client = await RawClient.openTls(gateway.port)
  client.send(rawRequest(chatBody({ user: 'x'.repeat(3_000_000) }), { key: 'sk-spw-wrong' }))
  expect(await client.answer()).toMatchObject({ status: 401, headers: { connection: 'close' } })
  await client.closed
})

test('what is no HTTP gets its envelope', async () => {
  const client = await RawClient.openTls(gateway.port)
  client.send('hello\r\n\r\n')
  expect(await client.answer()).toMatchObject({ status: 400, headers: { connection: 'close' } })
  await client.closed
})

test.concurrent.each(['', 'GET /livez HTTP/1.1\r\nHost: gateway\r\n\r\n', '\x16\x03\x01\x02\x00\x01'])(
  'a client that does not shake hands (%j) is closed',
  async (bytes) => {
    const client = await RawClient.open(gateway.port)
    const startedMs = performance.now()
    if (bytes !== '') client.send(bytes)
    await client.closed
    expect(performance.now() - startedMs).toBeLessThan(headMs + 10_000)
    expect(client.received).not.toContain('HTTP/1.1')
  },
)

test('a client that stops reading is left', async () => {
  const delta = { content: 'x'.repeat(8_000) }
  const event = `data: ${JSON.stringify({ id: 'c', choices: [{ index: 0, delta, finish_reason: null }] })}\n\n`
  vendor.behaviour = {
    script: ({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const more = (): void => {
        while (!response.destroyed && response.write(event));
      }
      response.on('drain', more)
      more()
    },
  }
  const client = await RawClient.openTls(gateway.port)
  client.send(rawRequest(chatBody({ stream: true }), { key: acmeKey }))
  await until(() => client.receivedBytes > 0)
  client.pause()
  await until(() => vendor.chats.every(({ ended }) => ended === 'client-left'))
  client.end()
})

test('more connections than there is room for are told so', async () => {
  const held = await Promise.all(Array.from({ length: connectionsMax }, () => RawClient.openTls(gateway.port)))
  const client = await RawClient.openTls(gateway.port)
  client.send(rawRequest(chatBody(), { key: acmeKey }))
  expect(await client.answer()).toMatchObject({ status: 503, headers: { 'retry-after': '1', connection: 'close' } })
  for (const one of held) one.end()
  await pause(50)
  expect(vendor.chats).toHaveLength(0)
})
