import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { FakeVendor } from './fake-vendor.ts'
import { type GatewayProcess, pause } from './gateway-process.ts'
import { chatBody, type RawAnswer, RawClient, rawRequest } from './raw-client.ts'
import { acmeKey, startOver } from './setting.ts'

let vendor: FakeVendor
let gateway: GatewayProcess

beforeAll(async () => {
  vendor = await FakeVendor.start()
  gateway = await startOver([{ name: 'own', vendor, subProcessor: 'self', country: 'NL' }])
})

afterAll(async () => {
  await gateway?.dispose()
  await vendor?.down()
})

beforeEach(() => {
  vendor.behaviour = {}
})

async function answerTo(bytes: string): Promise<RawAnswer | undefined> {
  const client = await RawClient.open(gateway.port)
  client.send(bytes)
  const answer = await client.answer()
  client.end()
  return answer
}

async function makeKey(): Promise<{ key: string; id: string }> {
  const { code, out, err } = await gateway.cli('keys', 'create', '--tenant', 'acme', '--json')
  expect(code, err).toBe(0)
  return JSON.parse(out) as { key: string; id: string }
}

describe('a key made beside a running gateway', () => {
  test('has 256 bits, works at once, and is refused within a second of its revocation, open streams included', async () => {
    const { key, id } = await makeKey()
    expect(Buffer.from(key.replace('sk-spw-', ''), 'base64url')).toHaveLength(32)
    expect((await answerTo(rawRequest(chatBody(), { key })))?.status).toBe(200)

    vendor.behaviour = { everyMs: 20 }
    const [revoked, other] = await Promise.all([RawClient.open(gateway.port), RawClient.open(gateway.port)])
    const stream = chatBody({ stream: true, max_tokens: 5_000 })
    revoked.send(rawRequest(stream, { key, headers: ['Connection: close'] }))
    other.send(rawRequest(stream, { key: acmeKey }))
    await Promise.all([revoked, other].map((client) => client.until((text) => text.includes('w3 '))))

    expect((await gateway.cli('keys', 'revoke', id)).code).toBe(0)
    const revokedAtMs = performance.now()
    const answer = await answerTo(rawRequest(chatBody(), { key }))
    expect(answer?.status).toBe(401)
    await revoked.closed
    // The promise is a second; a busy machine gets more.
    expect(performance.now() - revokedAtMs).toBeLessThan(5_000)
    expect(revoked.received).toContain('"code":"invalid_api_key"')
    expect(revoked.received).not.toContain('[DONE]')

    const seen = other.received.length
    await other.until((text) => text.length > seen + 1_000)
    other.end()
    await expect.poll(() => vendor.chats.every(({ ended }) => ended !== 'open'), { timeout: 5_000 }).toBe(true)
  })

  test('is found in no file and no line that the gateway writes', async () => {
    const { key } = await makeKey()
    const secret = key.replace('sk-spw-', '')
    for (const bytes of [
      rawRequest(chatBody(), { key }),
      rawRequest(chatBody(), { headers: [`api-key: ${key}`] }),
      rawRequest(chatBody({ model: key }), { key }),
      rawRequest(`{"model":"chat-large","messages":"${key}"}`, { key }),
      rawRequest(chatBody({ user: key, prompt_cache_key: key }), { key, headers: [`X-Stainless-Retry-Count: ${key}`] }),
      rawRequest('', { method: 'GET', target: `/v1/${key}`, key }),
      rawRequest('', { method: 'GET', target: `/v1/models/${key}`, key }),
      rawRequest('', { method: 'GET', target: `/livez?key=${key}` }),
      rawRequest(chatBody(), { key, headers: [`OpenAI-Organization: ${key}`] }),
      rawRequest(chatBody(), { key, headers: [`traceparent: ${key}`, `x-request-id: ${key}`] }),
      rawRequest(chatBody(), { key: `${key}x` }),
      `GET /${key} HTTP/9.9\r\n${key}: ${key}\r\n\r\n`,
    ])
      await answerTo(bytes)
    await gateway.end()
    const files = readdirSync(gateway.dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    expect(files.length).toBeGreaterThan(3)
    for (const file of files)
      expect(readFileSync(path.join(file.parentPath, file.name)).includes(secret), file.name).toBe(false)
    expect(gateway.said).toContain('"request_id"')
    expect(gateway.said).not.toContain(secret)
    await gateway.run()
    expect((await answerTo(rawRequest(chatBody(), { key })))?.status).toBe(200)
  })
})

describe('a flood of wrong keys', () => {
  test('does not keep valid ones from being served', async () => {
    let over = false
    const flood = Array.from({ length: 20 }, async (_, stream) => {
      let refused = 0
      while (!over) {
        const answer = await answerTo(
          rawRequest('', { method: 'GET', target: '/v1/models', key: `sk-spw-${stream}-${refused}` }),
        )
        expect(answer?.status).toBe(401)
        refused++
      }
      return refused
    })
    for (let served = 0; served < 20; served++) {
      expect((await answerTo(rawRequest(chatBody(), { key: acmeKey })))?.status).toBe(200)
      await pause(10)
    }
    over = true
    const refused = (await Promise.all(flood)).reduce((sum, count) => sum + count, 0)
    expect(refused).toBeGreaterThan(100)
  })
})
