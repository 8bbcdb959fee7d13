import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FakeVendor } from './fake-vendor.ts'
import { type GatewayProcess, pause } from './gateway-process.ts'
import { chatBody, type RawAnswer, RawClient, rawRequest } from './raw-client.ts'
import { acmeKey, startOver } from './setting.ts'

const headMs = 1_000
const bodyMs = 1_500
/** The promise allows 2 s beside the limit; a busy machine gets more. */
const marginMs = 10_000

let vendor: FakeVendor
let gateway: GatewayProcess

beforeAll(async () => {
  vendor = await FakeVendor.start()
  gateway = await startOver([{ name: 'own', vendor, subProcessor: 'self', country: 'NL' }], {
    limits: `{ requestHeadMs: ${headMs}, requestBodyMs: ${bodyMs} }`,
  })
})

afterAll(async () => {
  await gateway?.dispose()
  await vendor?.down()
})

/** Sends a byte each 100 ms until the connection ends; says what was answered and when it was over. */
async function drip(first: string, byte: string): Promise<{ answer: RawAnswer | undefined; tookMs: number }> {
  const startedMs = performance.now()
  const client = await RawClient.open(gateway.port)
  client.send(first)
  const drops = setInterval(() => client.send(byte), 100)
  await client.closed
  clearInterval(drops)
  return { answer: client.answers[0], tookMs: performance.now() - startedMs }
}

describe('a client that never comes to an end', () => {
  test('1,000 slow heads and bodies end at an absolute time, and neighbours are served meanwhile', async () => {
    const body = chatBody({ user: 'x'.repeat(1_000) })
    const slowHead = 'POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nX: '
    const slowBody = rawRequest(body, { key: acmeKey }).slice(0, -900)
    const slow = Array.from({ length: 1_000 }, (_, index) => drip(index % 2 === 0 ? slowHead : slowBody, 'x'))
    let over = false
    void Promise.all(slow).then(() => {
      over = true
    })
    let served = 0
    while (!over) {
      const neighbour = await RawClient.open(gateway.port)
      neighbour.send(rawRequest(chatBody(), { key: acmeKey }))
      expect((await neighbour.answer())?.status).toBe(200)
      neighbour.end()
      served++
      await pause(20)
    }
    expect(served).toBeGreaterThan(10)
    for (const [index, { answer, tookMs }] of (await Promise.all(slow)).entries()) {
      expect(answer).toMatchObject({ status: 408, headers: { connection: 'close' } })
      expect(answer?.body).toContain('"code":"request_timeout"')
      const limitMs = index % 2 === 0 ? headMs : bodyMs
      expect(tookMs).toBeGreaterThan(limitMs - 50)
      expect(tookMs).toBeLessThan(limitMs + marginMs)
    }
  }, 60_000)

  test('a connection on which nothing is said is closed too', async () => {
    const client = await RawClient.open(gateway.port)
    const startedMs = performance.now()
    await client.closed
    expect(performance.now() - startedMs).toBeLessThan(headMs + marginMs)
  })
})
