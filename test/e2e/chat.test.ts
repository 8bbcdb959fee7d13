import OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { FakeVendor } from './fake-vendor.ts'
import { type GatewayProcess, pause } from './gateway-process.ts'
import { acmeKey, otherKey, startOver } from './setting.ts'

let gb: FakeVendor
let no: FakeVendor
let gateway: GatewayProcess

beforeAll(async () => {
  gb = await FakeVendor.start()
  no = await FakeVendor.start()
  gateway = await startOver([
    { name: 'azure-gb', vendor: gb, subProcessor: 'microsoft', country: 'GB' },
    { name: 'own-no', vendor: no, subProcessor: 'self', country: 'NO' },
  ])
}, 30_000)

afterAll(async () => {
  await gateway?.dispose()
  await Promise.all([gb?.down(), no?.down()])
})

beforeEach(() => {
  for (const vendor of [gb, no]) {
    vendor.behaviour = {}
    vendor.seen.length = 0
  }
})

const client = (key = acmeKey, maxRetries = 0) => new OpenAI({ apiKey: key, baseURL: gateway.url, maxRetries })
const messages = [{ role: 'user' as const, content: 'hello' }]

async function streamed(key = acmeKey, max = 5): Promise<string[]> {
  const words: string[] = []
  const stream = await client(key).chat.completions.create({
    model: 'chat-large',
    messages,
    stream: true,
    max_tokens: max,
  })
  for await (const chunk of stream) {
    const word = chunk.choices[0]?.delta.content
    if (word) words.push(word)
  }
  return words
}

describe('the official client against a running gateway', () => {
  test('streams a chat, and sees no usage chunk it did not ask for', async () => {
    const stream = await client().chat.completions.create({
      model: 'chat-large',
      messages,
      stream: true,
      max_tokens: 3,
    })
    const chunks = []
    for await (const chunk of stream) chunks.push(chunk)
    expect(chunks.map((chunk) => chunk.choices.length)).toEqual([1, 1, 1, 1, 1])
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toBe('w1 w2 w3 ')
  })

  test('sees the usage chunk it asked for', async () => {
    const stream = await client().chat.completions.create({
      model: 'chat-large',
      messages,
      stream: true,
      max_tokens: 3,
      stream_options: { include_usage: true },
    })
    let usage: unknown
    for await (const chunk of stream) usage = chunk.usage ?? usage
    expect(usage).toMatchObject({ prompt_tokens: 11, completion_tokens: 3 })
  })

  test('gets a whole answer with how it was decided', async () => {
    const { data, response } = await client()
      .chat.completions.create({ model: 'chat-large', messages, max_tokens: 2 })
      .withResponse()
    expect(data.choices[0]?.message.content).toBe('word word ')
    expect(data.usage?.completion_tokens).toBe(2)
    expect(response.headers.get('x-spillway-endpoint')).toMatch(/^chat-large\/(azure-gb|own-no)$/)
    expect(response.headers.get('x-spillway-country')).toMatch(/^(GB|NO)$/)
    expect(response.headers.get('x-spillway-attempts')).toBe('1')
    expect(Number(response.headers.get('x-spillway-overhead-ms'))).toBeGreaterThan(0)
    expect(response.headers.get('x-request-id')).toMatch(/^req_/)
  })

  test('the vendor sees the body with its own model name, and nothing of the caller', async () => {
    await client().chat.completions.create(
      { model: 'chat-large', messages, seed: 7 },
      { headers: { cookie: 'a=b', 'x-forwarded-for': '1.2.3.4' } },
    )
    const seen = [...gb.chats, ...no.chats][0]
    expect(JSON.parse(seen?.body ?? '')).toEqual({ model: 'upstream-model', messages, seed: 7 })
    expect(seen?.headers['authorization']).toBe('Bearer vendor-secret')
    const sent = JSON.stringify(seen?.headers)
    expect(sent).not.toContain(acmeKey)
    expect(Object.keys(seen?.headers ?? {})).not.toEqual(expect.arrayContaining(['cookie']))
    expect(sent).not.toContain('1.2.3.4')
    expect(sent).not.toMatch(/stainless/i)
  })

  test('lists only the models that a workspace may use', async () => {
    const models = await client().models.list()
    expect(models.data.map((model) => model.id)).toEqual(['chat-large'])
    expect((await client().models.retrieve('chat-large')).id).toBe('chat-large')
    await expect(client().models.retrieve('nope')).rejects.toMatchObject({ status: 404, code: 'model_not_found' })
  })

  test.each([
    ['a wrong key', 'sk-spw-wrong', { model: 'chat-large' }, 401, 'invalid_api_key'],
    ['an unknown model', acmeKey, { model: 'gpt-9' }, 404, 'model_not_found'],
  ])('%s is refused', async (_what, key, body, status, code) => {
    await expect(client(key).chat.completions.create({ ...body, messages })).rejects.toMatchObject({ status, code })
  })

  test('a request goes to no place outside its terms, whatever fails', async () => {
    gb.behaviour = { status: 503 }
    await expect(client(otherKey).chat.completions.create({ model: 'chat-large', messages })).rejects.toMatchObject({
      status: 503,
    })
    expect(no.chats).toHaveLength(0)
    expect(gb.chats.length).toBeGreaterThan(0)
    await pause(1_200)
  })

  test('a failing vendor is left for another before the first byte', async () => {
    gb.behaviour = { status: 500 }
    for (let i = 0; i < 10; i++) expect(await streamed()).toHaveLength(5)
    expect(no.chats).toHaveLength(10)
  })

  test('a stream that breaks later ends in exactly one error event and is no success', async () => {
    gb.behaviour = { cutAfter: 3 }
    no.behaviour = { cutAfter: 3 }
    const answer = await fetch(`${gateway.url}/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${acmeKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'chat-large', messages, stream: true, max_tokens: 9 }),
    })
    const text = await answer.text()
    expect(text.match(/"error"/g)).toHaveLength(1)
    expect(text).toContain('upstream_stream_cut')
    expect(text).not.toContain('[DONE]')
    expect(text.trimEnd().split('\n').at(-1)).toMatch(/^data: \{"error"/)
  })

  test('a caller who leaves frees the vendor within a second', async () => {
    gb.behaviour = { everyMs: 50 }
    no.behaviour = { everyMs: 50 }
    const leaving = new AbortController()
    const stream = await client().chat.completions.create(
      { model: 'chat-large', messages, stream: true, max_tokens: 1000 },
      { signal: leaving.signal },
    )
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break
    leaving.abort()
    await pause(1_000)
    expect([...gb.chats, ...no.chats].map(({ ended }) => ended)).toEqual(['client-left'])
  })

  test('explain shows who could serve, and which rule removed each other', async () => {
    const answer = await fetch(`${gateway.url}/explain`, {
      method: 'POST',
      headers: { authorization: `Bearer ${otherKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'chat-large' }),
    })
    const explanation = (await answer.json()) as {
      candidates: { endpoint: string; eligible: boolean; removed_by: string | null }[]
    }
    expect(explanation.candidates).toMatchObject([
      { endpoint: 'chat-large/azure-gb', eligible: true },
      { endpoint: 'chat-large/own-no', eligible: false, removed_by: expect.stringContaining('country') },
    ])
  })
})
