import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { FakeVendor } from './fake-vendor.ts'
import { type GatewayProcess, pause } from './gateway-process.ts'
import { chatBody, type RawAnswer, RawClient, rawRequest } from './raw-client.ts'
import { acmeKey, startOver } from './setting.ts'

const bodyBytesMax = 60_000
const buffersBytesMax = 100_000

let vendor: FakeVendor
let gateway: GatewayProcess

beforeAll(async () => {
  vendor = await FakeVendor.start()
  gateway = await startOver([{ name: 'own', vendor, subProcessor: 'self', country: 'NL' }], {
    limits: `{ bodyBytesMax: ${bodyBytesMax}, buffersBytesMax: ${buffersBytesMax} }`,
  })
})

afterAll(async () => {
  await gateway?.dispose()
  await vendor?.down()
})

beforeEach(() => {
  vendor.seen.length = 0
})

async function answerTo(bytes: string): Promise<RawAnswer | undefined> {
  const client = await RawClient.open(gateway.port)
  client.send(bytes)
  const answer = await client.answer()
  client.end()
  return answer
}

const chunkedHead = `POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer ${acmeKey}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`
const long = (bytes: number) => chatBody({ user: 'x'.repeat(bytes) })

describe('what is too large', () => {
  test('a head over 16 KiB gets 431, one below it is taken', async () => {
    const answer = await answerTo(rawRequest(chatBody(), { key: acmeKey, headers: [`X: ${'x'.repeat(17_000)}`] }))
    expect(answer).toMatchObject({ status: 431, headers: { connection: 'close' } })
    expect(answer?.body).toContain('"code":"head_too_large"')
    expect(
      await answerTo(rawRequest(chatBody(), { key: acmeKey, headers: [`X: ${'x'.repeat(15_000)}`] })),
    ).toMatchObject({ status: 200 })
  })

  test('a body that says it is too large gets 413 before a byte of it is read', async () => {
    const answer = await answerTo(rawRequest(long(bodyBytesMax), { key: acmeKey }).split('{')[0] as string)
    expect(answer).toMatchObject({ status: 413, headers: { connection: 'close', 'x-should-retry': 'false' } })
    expect(answer?.body).toContain('"code":"request_too_large"')
    expect(vendor.chats).toHaveLength(0)
  })

  test('a body that only proves too large gets 413 as soon as it does', async () => {
    const client = await RawClient.open(gateway.port)
    client.send(`${chunkedHead}${(100_000).toString(16)}\r\n${long(bodyBytesMax)}`)
    expect(await client.answer()).toMatchObject({ status: 413 })
    client.end()
    expect(vendor.chats).toHaveLength(0)
  })

  test('a client that is still sending can read why it is refused', async () => {
    const client = await RawClient.open(gateway.port)
    client.send(`${chunkedHead}${(50_000_000).toString(16)}\r\n`)
    let answered = false
    const answer = client.answer().finally(() => {
      answered = true
    })
    for (let sent = 0; !answered && sent < 400; sent++) {
      client.send(Buffer.alloc(64 * 1024, 0x20))
      await pause(1)
    }
    expect(await answer).toMatchObject({ status: 413 })
    client.end()
  })

  test('a wrong key is told so although its body was not read', async () => {
    const answer = await answerTo(rawRequest(long(50_000), { key: 'sk-spw-wrong' }))
    expect(answer).toMatchObject({ status: 401, headers: { connection: 'close' } })
  })

  test('a body in many chunks is taken whole', async () => {
    const body = long(40_000)
    const pieces = Array.from({ length: Math.ceil(body.length / 1_000) }, (_, i) =>
      body.slice(i * 1_000, i * 1_000 + 1_000),
    )
    const chunks = pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join('')
    expect(await answerTo(`${chunkedHead}${chunks}0\r\n\r\n`)).toMatchObject({ status: 200 })
    expect(vendor.chats[0]?.body).toBe(body.replace('chat-large', 'upstream-model'))
  })

  test('a large body in many segments is taken whole', async () => {
    const body = long(50_000)
    const client = await RawClient.open(gateway.port)
    const bytes = rawRequest(body, { key: acmeKey })
    for (let at = 0; at < bytes.length; at += 7_001) {
      client.send(bytes.slice(at, at + 7_001))
      await pause(2)
    }
    expect(await client.answer()).toMatchObject({ status: 200 })
    client.end()
    expect(vendor.chats[0]?.body).toBe(body.replace('chat-large', 'upstream-model'))
  })
})

describe('bodies held together', () => {
  test('above their bound new ones get 503 until others are done', async () => {
    const holders = await Promise.all([1, 2].map(() => RawClient.open(gateway.port)))
    for (const holder of holders) holder.send(rawRequest(long(48_000), { key: acmeKey }).slice(0, -20))
    await expect
      .poll(async () => (await answerTo(rawRequest(long(10_000), { key: acmeKey })))?.status, { timeout: 5_000 })
      .toBe(503)
    const refused = await answerTo(rawRequest(long(10_000), { key: acmeKey }))
    expect(refused).toMatchObject({ headers: { 'retry-after': '1', 'x-should-retry': 'true', connection: 'close' } })
    expect(refused?.body).toContain('"code":"overloaded"')
    for (const holder of holders) holder.end()
    await expect
      .poll(async () => (await answerTo(rawRequest(long(10_000), { key: acmeKey })))?.status, { timeout: 5_000 })
      .toBe(200)
  })

  test('many bodies one after the other leave nothing held', async () => {
    for (let round = 0; round < 20; round++)
      expect(await answerTo(rawRequest(long(50_000), { key: acmeKey }))).toMatchObject({ status: 200 })
  })

  test('an answer that still streams holds no body any more', async () => {
    vendor.behaviour = { everyMs: 20 }
    const streams = await Promise.all(Array.from({ length: 10 }, () => RawClient.open(gateway.port)))
    for (const stream of streams) {
      stream.send(rawRequest(chatBody({ user: 'x'.repeat(50_000), stream: true, max_tokens: 500 }), { key: acmeKey }))
      expect(await stream.until((text) => text.includes('w3'))).toContain('HTTP/1.1 200')
    }
    for (const stream of streams) stream.end()
    vendor.behaviour = {}
  })
})

describe('a client that asks before it sends its body', () => {
  const asking = (key: string, bytes: number) =>
    rawRequest(chatBody({ user: 'x'.repeat(bytes) }), { key, headers: ['Expect: 100-continue'] }).split('\r\n\r\n') as [
      string,
      string,
    ]

  test('is told to go on', async () => {
    const [head, body] = asking(acmeKey, 100)
    const client = await RawClient.open(gateway.port)
    client.send(`${head}\r\n\r\n`)
    await client.until((text) => text.includes('100 Continue'))
    client.send(body)
    expect(await client.until((text) => text.includes('HTTP/1.1 200'))).toContain('chat.completion')
    client.end()
  })

  test.each([
    ['with a wrong key', 'sk-spw-wrong', 100, 401],
    ['with too large a body', acmeKey, bodyBytesMax, 413],
  ])('%s, is refused without reading it', async (_what, key, bytes, status) => {
    const [head] = asking(key, bytes)
    const answer = await answerTo(`${head}\r\n\r\n`)
    expect(answer?.status).toBe(status)
  })
})

describe('what is not JSON', () => {
  test.each([
    ['text/plain', 415],
    ['application/x-www-form-urlencoded', 415],
    ['multipart/form-data; boundary=x', 415],
    ['application/json-patch+json', 415],
    ['application/jsonx', 415],
    ['application/json', 200],
    ['application/json; charset=utf-8', 200],
    ['Application/JSON;charset=UTF-8', 200],
  ])('%s gets %i', async (type, status) => {
    const bytes = rawRequest(chatBody(), { key: acmeKey }).replace('application/json', type)
    expect((await answerTo(bytes))?.status).toBe(status)
  })

  test('no content type at all: the bytes decide', async () => {
    const bytes = rawRequest(chatBody(), { key: acmeKey }).replace('Content-Type: application/json\r\n', '')
    expect((await answerTo(bytes))?.status).toBe(200)
  })

  test.each(['gzip', 'deflate', 'br', 'zstd', 'gzip, identity', 'x-unknown'])('%s gets 415', async (coding) => {
    const bytes = rawRequest(chatBody(), { key: acmeKey, headers: [`Content-Encoding: ${coding}`] })
    const answer = await answerTo(bytes)
    expect(answer?.status).toBe(415)
    expect(answer?.body).toContain('"code":"unsupported_content_encoding"')
  })
})
