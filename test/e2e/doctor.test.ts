import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { runInPipe } from '../../src/cli/testing.ts'
import { FakeVendor } from './fake-vendor.ts'
import { freePort } from './gateway-process.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'spillway-doctor-'))
const secret = 'vendor-secret'
let vendor: FakeVendor
let other: Server | undefined

beforeAll(async () => {
  vendor = await FakeVendor.start()
})
afterAll(async () => {
  await vendor.down()
  rmSync(folder, { recursive: true, force: true })
})
afterEach(() => {
  vendor.behaviour = {}
  vendor.seen.length = 0
  other?.closeAllConnections()
  other?.close()
})

const compatible = (port: number) =>
  `{ kind: openai-compatible, baseUrl: "http://127.0.0.1:${port}/v1", apiKey: { env: KEY }, subProcessor: self, country: NL }`

/** What `doctor` finds at one endpoint of this provider. */
async function doctor(
  provider: string,
  { words = [], upstreamModel = 'the-model' }: { words?: string[]; upstreamModel?: string } = {},
) {
  writeFileSync(
    path.join(folder, 'spillway.yaml'),
    `location: { country: NL, subProcessor: self }
limits: { firstByteMs: 800, connectMs: 500 }
providers: { place: ${provider} }
models: { chat: { endpoints: [{ provider: place, upstreamModel: ${upstreamModel} }] } }
`,
  )
  const env = { KEY: secret }
  const json = await runInPipe(['doctor', '--json', ...words], folder, env)
  expect(json.out + json.err).not.toContain(secret)
  return {
    code: json.code,
    finding: JSON.parse(json.out)[0],
    inWords: () => runInPipe(['doctor', ...words], folder, env),
  }
}

/** A server that knows its models, and answers questions as it is told. */
async function server(status: number, body: string | undefined): Promise<number> {
  other = createServer((request, response) => {
    if (request.method === 'GET') response.end('{"object":"list","data":[]}')
    else if (body !== undefined) response.writeHead(status, { 'content-type': 'application/json' }).end(body)
  })
  await new Promise<void>((resolve) => other?.listen(0, '127.0.0.1', resolve))
  return (other.address() as AddressInfo).port
}

describe('the doctor', { timeout: 60_000 }, () => {
  test('finds a good endpoint good, and says how soon it answers', async () => {
    const { code, finding, inWords } = await doctor(compatible(vendor.port))
    expect(code).toBe(0)
    expect(finding).toEqual({
      endpoint: 'chat/place',
      provider: 'place',
      upstreamModel: 'the-model',
      subProcessor: 'self',
      country: 'NL',
      verdict: 'good',
      reachedMs: expect.any(Number),
      firstTokenMs: expect.any(Number),
    })
    expect(JSON.parse(vendor.chats[0]?.body ?? '')).toMatchObject({ model: 'the-model', stream: true, max_tokens: 16 })
    expect((await inWords()).out).toMatch(
      /^chat\/place +self +NL +- +\d+ ms +\d+ ms +good\n\nevery endpoint is good\n$/m,
    )
  })

  test('asks for no tokens where it must not', async () => {
    const { code, finding } = await doctor(compatible(vendor.port), { words: ['--no-ask'] })
    expect(code).toBe(0)
    expect(finding).not.toHaveProperty('firstTokenMs')
    expect(vendor.chats).toHaveLength(0)
  })

  test('tells a server that is down, in the table and beneath it', async () => {
    const port = await freePort()
    const { code, finding, inWords } = await doctor(compatible(port))
    expect(code).toBe(1)
    expect(finding).toMatchObject({
      verdict: 'unreachable',
      problem: expect.stringContaining(`http://127.0.0.1:${port}`),
    })
    expect((await inWords()).out).toMatch(/unreachable\n\nchat\/place: http.*\n\n1 of 1 endpoint has a problem\n$/)
  })

  test.each([
    ['a wrong key', 401, 'unauthorized', /credentials .*\(status 401\); check the key/],
    ['a model that is not there', 404, 'no such model', /the-model \(status 404\); check upstreamModel/],
    ['a vendor that is full', 429, 'busy', /no more requests now \(status 429\)/],
    ['a vendor that fails', 500, 'failing', /\(status 500\)/],
  ])('tells %s', async (_what, status, verdict, problem) => {
    vendor.behaviour = { status }
    const { code, finding } = await doctor(compatible(vendor.port))
    expect(code).toBe(1)
    expect(finding).toMatchObject({ verdict, problem: expect.stringMatching(problem), reachedMs: expect.any(Number) })
  })

  test('tells a question that is refused, in the words of the vendor', async () => {
    const port = await server(400, '{"error":{"message":"not today"}}')
    expect((await doctor(compatible(port))).finding).toMatchObject({
      verdict: 'refused',
      problem: 'it refuses the question (status 400): not today',
    })
  })

  test('tells a server that takes longer for its first token than a request may wait', async () => {
    const port = await server(200, undefined)
    expect((await doctor(compatible(port))).finding).toMatchObject({
      verdict: 'slow',
      problem: expect.stringContaining('no token within 800 ms (limits.firstByteMs)'),
    })
  })

  test('tells a secret that is missing, without asking anybody', async () => {
    const { finding } = await doctor(compatible(vendor.port).replace('KEY', 'OTHER_KEY'))
    expect(finding).toMatchObject({ verdict: 'off', problem: expect.stringContaining('OTHER_KEY is not set') })
    expect(vendor.seen).toHaveLength(0)
  })

  const azure = (country: string) =>
    `{ kind: azure, baseUrl: "http://127.0.0.1:${vendor.port}", apiKey: { env: KEY }, subProcessor: microsoft, country: ${country} }`

  test('believes the vendor on where it is', async () => {
    vendor.behaviour = { headers: { 'x-ms-region': 'UK South' } }
    expect((await doctor(azure('GB'))).finding).toMatchObject({ verdict: 'good', region: 'UK South' })
    const { code, finding } = await doctor(azure('NL'))
    expect(code).toBe(1)
    expect(finding).toMatchObject({
      verdict: 'wrong country',
      problem: 'it is in the region UK South, which is in GB, and the configuration says NL; set country: "GB"',
    })
  })

  test('knows the countries of regions that the configuration names', async () => {
    const bedrock = `{ kind: bedrock, region: eu-west-2, baseUrl: "http://127.0.0.1:${vendor.port}", credentials: { env: KEY }, subProcessor: aws, country: IE }`
    expect((await doctor(bedrock)).finding).toMatchObject({
      verdict: 'wrong country',
      problem: expect.stringContaining('eu-west-2, which is in GB'),
    })
  })

  test.each([
    [
      'a location of Google that is no region',
      '{ kind: vertex, project: p, location: global, SECRET, subProcessor: google-cloud, country: NL }',
      'the-model',
      'global promises no country',
    ],
    [
      'a model of AWS that runs in several countries',
      '{ kind: bedrock, region: eu-west-2, SECRET, subProcessor: aws, country: GB }',
      'eu.the-model',
      'runs in regions of several countries',
    ],
  ])('takes no country for granted at %s', async (_what, provider, upstreamModel, problem) => {
    const rest = `baseUrl: "http://127.0.0.1:${vendor.port}", credentials: { env: KEY }`
    const { code, finding } = await doctor(provider.replace('SECRET', rest), { upstreamModel })
    expect(code).toBe(1)
    expect(finding).toMatchObject({ verdict: 'no country', problem: expect.stringContaining(problem) })
  })

  test('asks an embedding model as one', async () => {
    other = createServer((request, response) => {
      response.setHeader('content-type', 'application/json')
      if (request.method === 'GET') response.end('{"object":"list","data":[]}')
      else if (request.url === '/v1/embeddings')
        response.end('{"object":"list","data":[{"embedding":[0]}],"usage":{"prompt_tokens":1,"total_tokens":1}}')
      else response.writeHead(400).end('{"error":{"message":"this is no chat model"}}')
    })
    await new Promise<void>((resolve) => other?.listen(0, '127.0.0.1', resolve))
    const { finding } = await doctor(compatible((other.address() as AddressInfo).port))
    expect(finding).toMatchObject({ verdict: 'good', firstTokenMs: expect.any(Number) })
  })
})
