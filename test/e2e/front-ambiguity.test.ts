import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ambiguousRequests } from '../fixtures/ambiguous-requests.ts'
import { FakeVendor } from './fake-vendor.ts'
import { type GatewayProcess, pause } from './gateway-process.ts'
import { chatBody, RawClient, rawRequest } from './raw-client.ts'
import { acmeKey, startOver } from './setting.ts'

let vendor: FakeVendor
let gateway: GatewayProcess

beforeAll(async () => {
  vendor = await FakeVendor.start()
  gateway = await startOver([{ name: 'own', vendor, subProcessor: 'self', country: 'NL' }], {
    limits: '{ requestHeadMs: 1000, requestBodyMs: 1000 }',
  })
})

afterAll(async () => {
  await gateway?.dispose()
  await vendor?.down()
})

test('the corpus has no fewer forms than promised', () => {
  expect(ambiguousRequests.length).toBeGreaterThan(60)
})

test.concurrent.each(ambiguousRequests)(
  '$form: refused or closed, and no vendor hears of it',
  async ({ bytes, mark }) => {
    const client = await RawClient.open(gateway.port)
    client.send(bytes.replaceAll('KEY', acmeKey))
    const first = await client.answer()
    if (first !== undefined) {
      expect(first.status).toBeGreaterThanOrEqual(400)
      expect(JSON.parse(first.body)).toMatchObject({ error: { code: expect.any(String), param: null } })
      expect(first.headers['x-request-id']).toMatch(/^req_/)
    }
    // A second answer would come at once; what is not closed by then waits for a next request.
    await Promise.race([client.closed, pause(500)])
    client.end()
    for (const answer of client.answers) expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(vendor.seen.filter(({ body }) => body.includes(mark))).toEqual([])
  },
)

test('the same request in a clear form is served', async () => {
  const client = await RawClient.open(gateway.port)
  client.send(rawRequest(chatBody(), { key: acmeKey }))
  expect((await client.answer())?.status).toBe(200)
  client.end()
})

// The HTTP client of Java offers this with its first request to any plain http address.
test('an upgrade to HTTP/2 that is offered is not taken: the request is served, and what follows it is not', async () => {
  const offer = ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__']
  const client = await RawClient.open(gateway.port)
  for (let i = 0; i < 2; i++) client.send(rawRequest(chatBody(), { key: acmeKey, headers: offer }))
  await client.closed
  expect(client.answers).toMatchObject([{ status: 200, headers: { connection: 'close' } }])
})

test('no change of single bytes makes it fail, or answer what is not HTTP', async () => {
  const plain = Buffer.from(rawRequest(chatBody(), { key: acmeKey, headers: ['X-Other: a', 'Connection: close'] }))
  const change = fc.record({ at: fc.nat(plain.length - 1), taken: fc.nat(2), put: fc.uint8Array({ maxLength: 2 }) })
  const changed = fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) => {
    let bytes = plain
    for (const { at, taken, put } of changes)
      bytes = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + taken)])
    return bytes
  })
  const answered = async (bytes: Buffer) => {
    const client = await RawClient.open(gateway.port)
    client.send(bytes)
    await client.answer()
    client.end()
    // Bytes behind a whole request that are none close the connection, and with it the request.
    expect(client.received).toMatch(/^(HTTP\/1\.1 (200|4\d\d) |$)/)
  }
  // All at once: what is cut short is waited for.
  const property = fc.asyncProperty(fc.array(changed, { minLength: 300, maxLength: 300 }), async (all) => {
    await Promise.all(all.map(answered))
  })
  await fc.assert(property, { numRuns: 1, endOnFailure: true })
  expect(gateway.said).not.toMatch(/internal_error|Error:/)
})
