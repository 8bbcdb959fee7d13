import OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { FakeVendor } from './fake-vendor.ts'
import { GatewayProcess } from './gateway-process.ts'
import { chatBody, type RawAnswer, RawClient, rawRequest } from './raw-client.ts'
import { acmeKey, keysEnv, otherKey, yamlFor } from './setting.ts'

/** A workspace with limits so small that they are felt, beside those of the setting. */
const smallKey = 'sk-spw-small-0123456789abcdefghijklmnopqrstuvwxyz012'
const small =
  '  small: { plan: enterprise, countries: any, subProcessors: any, requestsPerMinute: 2, tokensPerMinute: 60000, keys: [{ env: SMALL_KEY }] }\n'
const slashed = '  openai/gpt-oss:\n    endpoints: [{ provider: own, upstreamModel: x }]\n'
const abroad = '  only-no:\n    endpoints: [{ provider: own-no, upstreamModel: x }]\n'

let vendor: FakeVendor
let gateway: GatewayProcess

beforeAll(async () => {
  vendor = await FakeVendor.start()
  const place = { vendor, subProcessor: 'self' }
  const yaml = yamlFor([
    { name: 'own', country: 'NL', ...place },
    { name: 'own-no', country: 'NO', ...place },
  ])
  gateway = await GatewayProcess.start(
    `${yaml.replace('models:\n', `models:\n${slashed}${abroad}`).trimEnd()}\n${small}`,
    { ...keysEnv, SMALL_KEY: smallKey },
  )
})

afterAll(async () => {
  await gateway?.dispose()
  await vendor?.down()
})

beforeEach(() => {
  vendor.seen.length = 0
  vendor.behaviour = {}
})

async function answerTo(bytes: string): Promise<RawAnswer> {
  const client = await RawClient.open(gateway.port)
  client.send(bytes)
  const answer = await client.answer()
  client.end()
  if (answer === undefined) throw new Error('the connection ended without an answer')
  return answer
}

const get = (target: string, headers: readonly string[] = [], key = acmeKey) =>
  answerTo(rawRequest('', { method: 'GET', target, key, headers }))

describe('every refusal has the envelope with all four keys and its own id', () => {
  const chat = (body: string, key = acmeKey) => rawRequest(body, { key })
  test.each<[string, string, number, string]>([
    ['no key', chat(chatBody(), ''), 401, 'missing_api_key'],
    ['an unknown key', chat(chatBody(), 'sk-spw-wrong'), 401, 'invalid_api_key'],
    ['another scheme', rawRequest(chatBody(), { headers: ['Authorization: Basic eDp5'] }), 401, 'missing_api_key'],
    ['broken JSON', chat('{"model":'), 400, 'invalid_json'],
    ['no body', rawRequest('', { key: acmeKey, headers: ['Content-Length: 0'] }), 400, 'invalid_json'],
    ['a list', chat('[]'), 400, 'invalid_json'],
    ['no messages', chat('{"model":"chat-large"}'), 400, 'invalid_request'],
    ['an unknown model', chat(chatBody({ model: 'gpt-9' })), 404, 'model_not_found'],
    ['a name of the prototype', chat(chatBody({ model: 'constructor' })), 404, 'model_not_found'],
    ['a model outside its terms', chat(chatBody({ model: 'only-no' }), otherKey), 403, 'no_eligible_endpoint'],
    ['an unknown path', rawRequest(chatBody(), { key: acmeKey, target: '/v1/responses' }), 404, 'not_found'],
    [
      'a path of the prototype',
      rawRequest('', { method: 'GET', key: acmeKey, target: '/constructor' }),
      404,
      'not_found',
    ],
    ['the wrong method', rawRequest('', { method: 'GET', key: acmeKey }), 405, 'method_not_allowed'],
    ['an unknown method', rawRequest('', { method: 'PURGE', key: acmeKey }), 405, 'method_not_allowed'],
    ['OPTIONS', rawRequest('', { method: 'OPTIONS' }), 405, 'method_not_allowed'],
    [
      'another content type',
      chat(chatBody()).replace('application/json', 'text/plain'),
      415,
      'unsupported_content_type',
    ],
    [
      'a compressed body',
      rawRequest(chatBody(), { key: acmeKey, headers: ['Content-Encoding: gzip'] }),
      415,
      'unsupported_content_encoding',
    ],
    [
      'too large a body',
      chat(chatBody()).replace(/Content-Length: \d+/, 'Content-Length: 99999999'),
      413,
      'request_too_large',
    ],
    [
      'too large a head',
      rawRequest('', { method: 'GET', headers: [`X: ${'x'.repeat(20_000)}`] }),
      431,
      'head_too_large',
    ],
    ['no HTTP', 'hello\r\n\r\n', 400, 'invalid_request'],
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n', 405, 'method_not_allowed'],
  ])('%s', async (_what, bytes, status, code) => {
    const answer = await answerTo(bytes)
    expect(answer.status).toBe(status)
    const { error } = JSON.parse(answer.body)
    expect(Object.keys(error)).toEqual(['message', 'type', 'param', 'code'])
    expect(error).toMatchObject({ code, message: expect.any(String), type: expect.any(String) })
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json',
      'x-request-id': expect.stringMatching(/^req_/),
      'x-should-retry': 'false',
    })
    expect(vendor.chats).toHaveLength(0)
  })

  test('no two ids are the same', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => get('/nowhere')))
    expect(new Set(answers.map(({ headers }) => headers['x-request-id'])).size).toBe(20)
  })

  test('405 says which methods there are', async () => {
    expect((await get('/v1/chat/completions')).headers).toMatchObject({ allow: 'POST' })
    const models = await answerTo(rawRequest('{}', { key: acmeKey, target: '/v1/models' }))
    expect(models).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } })
    expect(await answerTo(rawRequest('', { method: 'DELETE', key: acmeKey, target: '/v1/models/x' }))).toMatchObject({
      status: 405,
      headers: { allow: 'GET, HEAD' },
    })
  })

  test('no message repeats what was sent as content or key', async () => {
    const secret = 'sk-spw-secret-secret'
    for (const bytes of [
      chat('{"model":"chat-large","messages":"tell nobody"}'),
      chat('{"model":"chat-large","messages":[{"content":"tell nobody"}],,}'),
      chat(chatBody(), secret),
    ]) {
      const { body } = await answerTo(bytes)
      expect(body).not.toMatch(/tell nobody|secret/)
    }
  })
})

describe('a gateway key', () => {
  test.each([
    ['Authorization: Bearer KEY'],
    ['authorization: bearer KEY'],
    ['api-key: KEY'],
    ['x-api-key: KEY'],
    ['x-goog-api-key: KEY'],
  ])('is taken as %s, and no vendor sees it', async (header) => {
    const answer = await answerTo(rawRequest(chatBody(), { headers: [header.replace('KEY', acmeKey)] }))
    expect(answer.status).toBe(200)
    expect(JSON.stringify(vendor.chats)).not.toContain(acmeKey)
    expect(vendor.chats[0]?.headers).not.toHaveProperty('api-key')
  })

  test('is taken in two headers if it is the same, refused if it is not', async () => {
    const both = (key: string) => rawRequest(chatBody(), { key: acmeKey, headers: [`api-key: ${key}`] })
    expect((await answerTo(both(acmeKey))).status).toBe(200)
    expect((await answerTo(both(otherKey))).status).toBe(400)
  })

  test.each(['OpenAI-Organization', 'OpenAI-Project'])(
    'belongs to the workspace that %s names, if it is sent',
    async (name) => {
      const naming = (tenant: string) => rawRequest(chatBody(), { key: acmeKey, headers: [`${name}: ${tenant}`] })
      expect((await answerTo(naming('acme'))).status).toBe(200)
      const refused = await answerTo(naming('org-other'))
      expect(refused.status).toBe(401)
      expect(JSON.parse(refused.body).error.code).toBe('mismatched_organization')
      expect(vendor.chats).toHaveLength(1)
      expect(JSON.stringify(vendor.chats[0]?.headers)).not.toContain('acme')
    },
  )
})

describe('models', () => {
  test('are listed with the fields that clients read', async () => {
    const { data } = JSON.parse((await get('/v1/models')).body)
    expect(data.map(({ id }: { id: string }) => id).sort()).toEqual(['chat-large', 'only-no', 'openai/gpt-oss'])
    for (const model of data)
      expect(model).toEqual({ id: model.id, object: 'model', created: expect.any(Number), owned_by: 'spillway' })
    expect(data[0].created).toBeGreaterThan(Date.now() / 1_000 - 600)
  })

  test.each(['/v1/models/openai/gpt-oss', '/v1/models/openai%2Fgpt-oss', '/v1/models/openai%2fgpt-oss?x=1'])(
    'with a slash in their name are found as %s',
    async (target) => {
      expect(JSON.parse((await get(target)).body).id).toBe('openai/gpt-oss')
    },
  )

  test.each(['/v1/models/', '/v1/models/openai', '/v1/models/openai%252Fgpt-oss', '/v1/models/%zz'])(
    '%s is none',
    async (target) => {
      expect((await get(target)).status).toBe(404)
    },
  )

  test('that may not be used look as if they were not there', async () => {
    const ids = JSON.parse((await get('/v1/models', [], otherKey)).body).data.map(({ id }: { id: string }) => id)
    expect(ids).not.toContain('only-no')
    const [forbidden, unknown] = await Promise.all(
      ['only-no', 'only-xx'].map((name) => get(`/v1/models/${name}`, [], otherKey)),
    )
    expect(forbidden?.body.replace('only-no', 'only-xx')).toBe(unknown?.body)
  })

  test('answer HEAD as GET without the body', async () => {
    for (const target of ['/v1/models', '/v1/models/chat-large', '/livez', '/readyz']) {
      const client = await RawClient.open(gateway.port)
      client.send(rawRequest('', { method: 'HEAD', target, key: acmeKey, headers: ['Connection: close'] }))
      await client.closed
      expect(client.received).toMatch(/^HTTP\/1.1 200 OK\r\n/)
      expect(client.received.split('\r\n\r\n')[1]).toBe('')
    }
  })
})

describe('answers', () => {
  test('of a stream are an event stream in UTF-8 that nothing on the way may hold back', async () => {
    const client = await RawClient.open(gateway.port)
    client.send(rawRequest(chatBody({ stream: true }), { key: acmeKey }))
    const head = (await client.until((text) => text.includes('[DONE]'))).split('\r\n\r\n')[0]
    expect(head).toMatch(/^content-type: text\/event-stream; charset=utf-8$/im)
    expect(head).toMatch(/^cache-control: no-cache$/im)
    expect(head).toMatch(/^x-accel-buffering: no$/im)
    expect(head).toMatch(/^x-request-id: req_/im)
    expect(head).not.toMatch(/^content-length:/im)
    client.end()
  })

  test('say what is left of the limits in integers, and when it is back in durations', async () => {
    const answer = await answerTo(rawRequest(chatBody({ max_tokens: 5 }), { key: smallKey }))
    expect(answer).toMatchObject({
      status: 200,
      headers: {
        'content-type': 'application/json',
        'x-ratelimit-limit-requests': '2',
        'x-ratelimit-remaining-requests': '1',
        'x-ratelimit-limit-tokens': '60000',
      },
    })
    expect(answer.headers['x-ratelimit-remaining-tokens']).toMatch(/^\d+$/)
    for (const kind of ['requests', 'tokens'])
      expect(answer.headers[`x-ratelimit-reset-${kind}`]).toMatch(/^(\d+ms|\d+s|\d+m\d+s)$/)
  })

  test('of a used-up limit say when to come back, by every name that clients know', async () => {
    for (let i = 0; i < 2; i++) await answerTo(rawRequest(chatBody({ max_tokens: 5 }), { key: smallKey }))
    const answer = await answerTo(rawRequest(chatBody({ max_tokens: 5 }), { key: smallKey }))
    expect(answer).toMatchObject({
      status: 429,
      headers: { 'x-should-retry': 'true', 'x-ratelimit-remaining-requests': '0' },
    })
    const seconds = Number(answer.headers['retry-after'])
    expect(seconds).toBeGreaterThanOrEqual(1)
    expect(seconds).toBeLessThanOrEqual(60)
    expect(Number(answer.headers['retry-after-ms'])).toBeLessThanOrEqual(seconds * 1_000)
  })
})

describe('the official client', () => {
  const client = (maxRetries: number, key = acmeKey) => new OpenAI({ apiKey: key, baseURL: gateway.url, maxRetries })
  const ask = (maxRetries: number, model = 'chat-large') =>
    client(maxRetries).chat.completions.create({ model, messages: [{ role: 'user', content: 'hello' }] })

  test('comes back when told to, and its retries are counted', async () => {
    const log = gateway.said.length
    vendor.behaviour = { status: 500 }
    await expect(ask(1)).rejects.toMatchObject({ status: expect.any(Number) })
    await expect.poll(() => gateway.said.slice(log), { timeout: 4_000 }).toContain('"client_retry":1')
  })

  test('does not come back when that cannot help', async () => {
    await expect(ask(2, 'only-xx')).rejects.toMatchObject({ status: 404, code: 'model_not_found' })
    vendor.behaviour = { status: 400 }
    await expect(ask(2)).rejects.toMatchObject({ status: 400 })
    expect(vendor.chats).toHaveLength(1)
  })

  test('is served after the wait that it was told', async () => {
    vendor.behaviour = { status: 503 }
    const answer = ask(3)
    await expect.poll(() => vendor.chats.length).toBeGreaterThan(0)
    vendor.behaviour = {}
    expect((await answer).choices[0]?.message.content).toContain('word')
  })
})

describe('explain', () => {
  test('says of a model outside the terms which rule removed each place', async () => {
    const answer = await answerTo(rawRequest('{"model":"only-no"}', { key: otherKey, target: '/v1/explain' }))
    expect(answer.status).toBe(200)
    const { candidates, expected_wait_ms } = JSON.parse(answer.body)
    expect(candidates).toMatchObject([
      { eligible: false, country: 'NO', removed_by: expect.stringContaining('country') },
    ])
    expect(expected_wait_ms).toBeNull()
  })

  test('takes a whole request, and changes nothing', async () => {
    const answer = await answerTo(rawRequest(chatBody({ stream: true }), { key: acmeKey, target: '/v1/explain' }))
    const { candidates, expected_wait_ms } = JSON.parse(answer.body)
    expect(candidates).toHaveLength(2)
    expect(candidates[0]).toMatchObject({
      eligible: true,
      removed_by: null,
      usd_per_million_tokens: { input: 1, cached_input: 0.5, output: 2 },
    })
    expect(expected_wait_ms).toBe(0)
    expect(vendor.chats).toHaveLength(0)
  })
})
