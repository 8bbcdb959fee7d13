import { afterEach, beforeEach, expect, test } from 'vitest'
import { FakeVendor } from './fake-vendor.ts'
import { type GatewayProcess, statusOf, until } from './gateway-process.ts'
import { chatBody, RawClient, rawRequest } from './raw-client.ts'
import { acmeKey, startOver } from './setting.ts'

let vendor: FakeVendor
let gateway: GatewayProcess

beforeEach(async () => {
  vendor = await FakeVendor.start()
  gateway = await startOver([{ name: 'own', vendor, subProcessor: 'self', country: 'NL' }])
})

afterEach(async () => {
  await gateway?.dispose()
  await vendor?.down()
})

test('an instance that is told to end says so at once, begins nothing new, and ends what is open', async () => {
  vendor.behaviour = { everyMs: 20 }
  const idle = await RawClient.open(gateway.port)
  idle.send(rawRequest('', { method: 'GET', target: '/livez' }))
  expect((await idle.answer())?.headers['connection']).not.toBe('close')
  const half = await RawClient.open(gateway.port)
  half.send(rawRequest(chatBody(), { key: acmeKey }).slice(0, -5))
  const stream = await RawClient.open(gateway.port)
  stream.send(rawRequest(chatBody({ stream: true, max_tokens: 80 }), { key: acmeKey }))
  await stream.until((text) => text.includes('w3 '))

  const ended = gateway.end('SIGTERM')
  const toldAtMs = performance.now()
  await until(async () => (await statusOf(gateway.port, '/readyz')) === 503)
  // The promise is 100 ms; a busy machine gets more.
  expect(performance.now() - toldAtMs).toBeLessThan(3_000)
  expect(await statusOf(gateway.port, '/livez')).toBe(200)
  await idle.closed

  const late = await RawClient.open(gateway.port)
  late.send(rawRequest(chatBody(), { key: acmeKey }))
  half.send(chatBody().slice(-5))
  for (const client of [late, half]) {
    const answer = await client.answer()
    expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '1', connection: 'close' } })
    expect(answer?.body).toContain('"code":"draining"')
    await client.closed
  }

  expect(await stream.until((text) => text.includes('[DONE]'))).toContain('w80 ')
  expect(await ended).toBe(0)
  expect(vendor.chats).toHaveLength(1)
})
