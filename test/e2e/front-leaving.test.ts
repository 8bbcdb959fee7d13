import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { FakeVendor, type ScriptedExchange } from './fake-vendor.ts'
import { type GatewayProcess, pause, until } from './gateway-process.ts'
import { canReadUsage, residentBytes } from './process-usage.ts'
import { chatBody, RawClient, rawRequest } from './raw-client.ts'
import { acmeKey, startOver } from './setting.ts'

const stallMs = 1_500
const concurrencyMax = 64

let vendor: FakeVendor
let gateway: GatewayProcess

beforeAll(async () => {
  vendor = await FakeVendor.start()
  gateway = await startOver([{ name: 'own', vendor, subProcessor: 'self', country: 'NL' }], {
    limits: `{ streamIdleMs: ${stallMs}, firstByteMs: 20000, queueMs: 20000 }`,
    concurrencyMax,
  })
})

afterAll(async () => {
  await gateway?.dispose()
  await vendor?.down()
})

beforeEach(async () => {
  vendor.behaviour = {}
  vendor.seen.length = 0
})

const silent = { script: () => {} }
const streaming = { everyMs: 10 }

async function sending(body: string): Promise<RawClient> {
  const client = await RawClient.open(gateway.port)
  client.send(rawRequest(body, { key: acmeKey }))
  return client
}

/** All that the vendor began was ended by us. The promise is 2 s; a busy machine gets more. */
async function expectVendorLeft(count: number): Promise<void> {
  const startedMs = performance.now()
  await until(() => vendor.chats.length === count && vendor.chats.every(({ ended }) => ended === 'client-left'))
  expect(performance.now() - startedMs).toBeLessThan(5_000)
}

describe('a client that leaves frees the vendor', () => {
  const leavings: [string, (client: RawClient) => void][] = [
    ['by a reset', (client) => client.reset()],
    ['by closing', (client) => client.end()],
  ]
  test.each(leavings)('before the first byte, %s', async (_how, leave) => {
    vendor.behaviour = silent
    const clients = await Promise.all([sending(chatBody()), sending(chatBody({ stream: true }))])
    await until(() => vendor.chats.length === 2)
    clients.forEach(leave)
    await expectVendorLeft(2)
  })

  test.each(leavings)('in the middle of a stream, %s', async (_how, leave) => {
    vendor.behaviour = streaming
    const client = await sending(chatBody({ stream: true, max_tokens: 1_000 }))
    await client.until((text) => text.includes('w5 '))
    leave(client)
    await expectVendorLeft(1)
  })

  test('while it waits for a slot: no vendor hears of it', async () => {
    vendor.behaviour = silent
    const holders = await Promise.all(Array.from({ length: concurrencyMax }, () => sending(chatBody())))
    await until(() => vendor.chats.length === concurrencyMax)
    const waiting = await sending(chatBody({ user: 'waiting' }))
    await pause(200)
    waiting.reset()
    await pause(200)
    vendor.behaviour = {}
    for (const holder of holders) holder.reset()
    await expectVendorLeft(concurrencyMax)
    expect(vendor.chats.some(({ body }) => body.includes('waiting'))).toBe(false)
  })

  test('while it still sends its body: no vendor hears of it', async () => {
    const client = await RawClient.open(gateway.port)
    client.send(rawRequest(chatBody({ user: 'x'.repeat(10_000) }), { key: acmeKey }).slice(0, -5_000))
    await pause(100)
    client.reset()
    await pause(200)
    expect(vendor.chats).toHaveLength(0)
  })

  test('with requests behind the first: those never begin', async () => {
    vendor.behaviour = streaming
    const client = await RawClient.open(gateway.port)
    const one = rawRequest(chatBody({ stream: true, max_tokens: 1_000 }), { key: acmeKey })
    client.send(one.repeat(5))
    await client.until((text) => text.includes('w3 '))
    client.reset()
    await expectVendorLeft(1)
    await pause(200)
    expect(vendor.chats).toHaveLength(1)
  })
})

describe('requests sent one behind the other on a connection', () => {
  test('are answered in turn, one at a time', async () => {
    vendor.behaviour = { everyMs: 5 }
    const client = await RawClient.open(gateway.port)
    for (let i = 1; i <= 4; i++) client.send(rawRequest(chatBody({ max_tokens: i }), { key: acmeKey }))
    await until(() => client.answers.length === 4)
    const words = client.answers.map(({ body }) => JSON.parse(body).choices[0].message.content.trim().split(' ').length)
    expect(words).toEqual([1, 2, 3, 4])
    client.end()
  })

  test('are more than can be meant: the connection closes', async () => {
    vendor.behaviour = silent
    const client = await sending(chatBody())
    await until(() => vendor.chats.length === 1)
    client.send(rawRequest('', { method: 'GET', target: '/livez' }).repeat(2_000))
    await client.closed
    await expectVendorLeft(1)
  })

  test.each(['this is no HTTP\r\n\r\n', 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n'])(
    'that make no sense (%j) do not reach into the answer before them',
    async (bytes) => {
      vendor.behaviour = streaming
      const client = await sending(chatBody({ stream: true, max_tokens: 20 }))
      await client.until((text) => text.includes('w3 '))
      client.send(bytes)
      await client.closed
      const [first, second] = client.received.split('data: [DONE]\n\n\r\n0\r\n\r\n')
      expect(first).toContain('w20 ')
      expect(first?.match(/HTTP\/1\.1/g)).toHaveLength(1)
      expect(second).toMatch(/^HTTP\/1\.1 4/)
    },
  )
})

/** Sends as much as is taken, for ever. */
function endless({ seen, response }: ScriptedExchange): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const delta = { content: 'x'.repeat(8_000) }
  const event = `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta }] })}\n\n`
  const more = (): void => {
    while (!response.destroyed && response.write(event)) seen.events++
  }
  response.on('drain', more)
  more()
}

describe('a client that stops reading', () => {
  test.skipIf(!canReadUsage)(
    'holds little of our memory, and is left when nothing moves (needs /proc)',
    async () => {
      vendor.behaviour = { script: endless }
      const warm = await sending(chatBody({ stream: true }))
      await until(() => warm.receivedBytes > 1_000_000)
      warm.reset()
      await expectVendorLeft(1)
      const before = residentBytes(gateway.pid)
      const clients = await Promise.all(
        Array.from({ length: 30 }, async () => {
          const client = await sending(chatBody({ stream: true }))
          client.pause()
          return client
        }),
      )
      const pausedAtMs = performance.now()
      await until(() => vendor.chats.length === 31)
      const events = () => vendor.chats.reduce((sum, chat) => sum + chat.events, 0)
      let last = -1
      await until(async () => {
        const same = events() === last
        last = events()
        await pause(100)
        return same
      })
      // 1 MiB for each, and what passed through on the way to the kernel's buffers and was not collected yet.
      expect(residentBytes(gateway.pid) - before).toBeLessThan((clients.length + 32) * 1024 * 1024)
      await until(() => vendor.chats.every(({ ended }) => ended === 'client-left'))
      expect(performance.now() - pausedAtMs).toBeGreaterThan(stallMs - 100)
      for (const client of clients) client.end()
    },
    45_000,
  )

  test('and goes on in time is served on', async () => {
    vendor.behaviour = { script: endless }
    const client = await sending(chatBody({ stream: true }))
    await until(() => client.receivedBytes > 0)
    for (let round = 0; round < 3; round++) {
      client.pause()
      await pause(stallMs / 2)
      const seen = client.receivedBytes
      client.resume()
      await until(() => client.receivedBytes > seen + 5_000_000)
    }
    client.end()
    await expectVendorLeft(1)
  })
})
