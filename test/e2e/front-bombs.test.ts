import { afterAll, beforeAll, expect, test } from 'vitest'
import { FakeVendor } from './fake-vendor.ts'
import { type GatewayProcess, pause } from './gateway-process.ts'
import { chatBody, type RawAnswer, RawClient, rawRequest } from './raw-client.ts'
import { acmeKey, startOver } from './setting.ts'

/** The promise is 250 ms on a machine of its own; a body that is not read in one pass stops the loop for seconds. */
const pauseMsMax = 2_000

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

const bytesMax = 32 * 1024 * 1024
const roomFor = (piece: string) => Math.floor((bytesMax - 200) / piece.length)
const members = (count: number, member: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => member(index)).join(',')

/** Each stands beside a model and a message in a body of at most 32 MiB. */
const bombs: readonly [string, number, () => string][] = [
  ['one long text', 200, () => `"user":"${'x'.repeat(roomFor('x'))}"`],
  ['one long text in escapes', 200, () => `"user":"${'\\u00e9'.repeat(roomFor('\\u00e9'))}"`],
  ['10,000 names', 200, () => members(9_990, (index) => `"${index}":0`)],
  ['10,001 names', 400, () => members(10_001, (index) => `"${index}":0`)],
  ['names that begin alike', 200, () => members(9_990, (index) => `"${'k'.repeat(1_000)}${index}":0`)],
  ['a nest of 63', 200, () => `"a":${'['.repeat(63)}${']'.repeat(63)}`],
  ['a nest without end', 400, () => `"a":${'['.repeat(roomFor('['))}`],
  ['20,000 more messages', 200, () => `"a":[${members(20_000, () => '{"role":"user","content":""}')}]`],
  ['20,001 more messages', 400, () => `"a":[${members(20_001, () => '{"role":"user","content":""}')}]`],
  [
    'as many small lists as there is room for',
    400,
    () => `"a":[[${members(19_999, () => '[0]')}],[${'[0],'.repeat(roomFor('[0],') - 30_000)}0]]`,
  ],
  ['the longest number', 400, () => `"max_tokens":${'1'.repeat(roomFor('1'))}`],
  ['the longest name of a model', 400, () => `"a":0`],
  [
    'what would change every object',
    200,
    () => '"__proto__":{"stream":true,"model":"x"},"constructor":{"prototype":{"n":9}}',
  ],
]

test.each(bombs)('%s: %i, and the loop goes on', async (what, status, member) => {
  const model = what.includes('name of a model') ? 'm'.repeat(roomFor('m')) : 'chat-large'
  const body = chatBody({ model }).replace(/}$/, `,${member()}}`)
  expect(body.length).toBeLessThanOrEqual(bytesMax)
  let over = false
  const watching = watch(() => over)
  const client = await RawClient.open(gateway.port)
  client.send(rawRequest(body, { key: acmeKey }))
  const answer = await client.answer()
  over = true
  client.end()
  expect(answer?.status, answer?.body).toBe(status)
  expect(await watching).toBeLessThan(pauseMsMax)
})

test('after all of them a plain request is what it says', async () => {
  const client = await RawClient.open(gateway.port)
  client.send(rawRequest(chatBody(), { key: acmeKey }))
  const answer = (await client.answer()) as RawAnswer
  client.end()
  expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'application/json' } })
  expect(vendor.chats.at(-1)?.body).toBe(chatBody({ model: 'upstream-model' }))
})

/** Asks whether the gateway lives every few milliseconds; gives the longest wait for its word. */
async function watch(isOver: () => boolean): Promise<number> {
  let longestMs = 0
  while (!isOver()) {
    const client = await RawClient.open(gateway.port)
    const startedMs = performance.now()
    client.send(rawRequest('', { method: 'GET', target: '/livez' }))
    expect((await client.answer())?.status).toBe(200)
    longestMs = Math.max(longestMs, performance.now() - startedMs)
    client.end()
    await pause(5)
  }
  return longestMs
}
