import { createSign, generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chat, eventsOf, TestFleet } from '../testing.ts'

interface ServiceAccountFile {
  readonly private_key: string
  readonly client_email: string
  readonly token_uri: string
}

let fleet: TestFleet
let account: ServiceAccountFile

beforeAll(async () => {
  fleet = await TestFleet.open('google-cloud')
  account = JSON.parse(fleet.secret('google.json')) as ServiceAccountFile
})

afterAll(() => fleet.close())

const chats = '/v1/projects/demo/locations/europe-west4/endpoints/openapi/chat/completions'
const model = 'openai/gpt-oss-120b-maas'

/** Asks for a token as RFC 7523 says. */
function exchange(claims: object = {}, key = account.private_key): Promise<Response> {
  const nowSeconds = Math.floor(Date.now() / 1_000)
  const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${encoded({ alg: 'RS256', typ: 'JWT' })}.${encoded({
    iss: account.client_email,
    scope: 'https://www.googleapis.com/auth/cloud-platform',
    aud: account.token_uri,
    iat: nowSeconds,
    exp: nowSeconds + 3_600,
    ...claims,
  })}`
  const assertion = `${signed}.${createSign('RSA-SHA256').update(signed).sign(key, 'base64url')}`
  const grant = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
  return fetch(account.token_uri, { method: 'POST', body: new URLSearchParams({ grant_type: grant, assertion }) })
}

async function token(): Promise<string> {
  return ((await (await exchange()).json()) as { access_token: string }).access_token
}

const post = async (target: string, body: string, bearer?: string) =>
  fetch(fleet.url('NL', target), {
    method: 'POST',
    body,
    headers: { authorization: `Bearer ${bearer ?? (await token())}` },
  })
const errorOf = async (answer: Response) => ((await answer.json()) as { error: object }).error

describe('a cloud that speaks Vertex AI’s wire', () => {
  test('gives a token of an hour for a signed assertion, and answers with it, in every location', async () => {
    expect(await (await exchange()).json()).toEqual({
      access_token: expect.stringMatching(/^ya29\./),
      expires_in: 3_600,
      token_type: 'Bearer',
    })
    const answer = await post(chats, chat({ model }))
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-simulation')).toBe('google-cloud/NL on 4 x H200')
    expect(await answer.json()).toMatchObject({ model, usage: { prompt_tokens: 10, completion_tokens: 5 } })
    const tokyo = chats.replace('europe-west4', 'asia-northeast1')
    const there = await fetch(fleet.url('JP', tokyo), {
      method: 'POST',
      body: chat({ model }),
      headers: { authorization: `Bearer ${await token()}` },
    })
    expect(there.status).toBe(200)
  })

  test('streams as OpenAI does, and says who it is', async () => {
    const events = eventsOf(await (await post(chats, chat({ model, stream: true }, 10, 12))).text())
    expect(events.at(-1)).toBe('[DONE]')
    const text = events.slice(0, -1).map((event) => JSON.parse(event).choices[0].delta.content ?? '')
    expect(text.join('')).toMatch(/^Simulation: google-cloud in NL on 4 x H200 answers. /)
  })

  test('takes no assertion that is not its account’s, or has run out', async () => {
    const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 })
      .privateKey.export({ type: 'pkcs8', format: 'pem' })
      .toString()
    for (const answer of [
      await exchange({}, stranger),
      await exchange({ iss: 'somebody@else' }),
      await exchange({ exp: Math.floor(Date.now() / 1_000) - 60 }),
      await exchange({ aud: 'https://elsewhere.example/token' }),
    ]) {
      expect(answer.status).toBe(400)
      expect(await answer.json()).toMatchObject({ error: 'invalid_grant' })
    }
    const other = await fetch(account.token_uri, { method: 'POST', body: 'grant_type=password&assertion=a.b.c' })
    expect(other.status).toBe(400)
  })

  test('refuses a token it did not give', async () => {
    const answer = await post(chats, chat({ model }), 'ya29.made-up')
    expect(answer.status).toBe(401)
    expect(await errorOf(answer)).toMatchObject({ code: 401, status: 'UNAUTHENTICATED' })
  })

  test('serves its own location and no other', async () => {
    const answer = await post(chats.replace('europe-west4', 'us-central1'), chat({ model }))
    expect(answer.status).toBe(404)
    expect(await errorOf(answer)).toMatchObject({ code: 404, status: 'NOT_FOUND' })
  })

  test('refuses a model it does not have, and a body that is none', async () => {
    const unknown = await post(chats, chat({ model: 'openai/gpt-9' }))
    expect(unknown.status).toBe(404)
    expect(await errorOf(unknown)).toMatchObject({ status: 'NOT_FOUND' })
    expect(await errorOf(await post(chats, '[]'))).toMatchObject({ code: 400, status: 'INVALID_ARGUMENT' })
  })

  test('when it is too much, says so as Google does', async () => {
    await fleet.cloud('NL').fail('429', undefined)
    const answer = await post(chats, chat({ model }))
    await fleet.cloud('NL').heal()
    expect(answer.status).toBe(429)
    expect(await errorOf(answer)).toMatchObject({ code: 429, status: 'RESOURCE_EXHAUSTED' })
  })
})
