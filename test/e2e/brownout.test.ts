import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { FakeVendor } from './fake-vendor.ts'
import { GatewayProcess, pause, until } from './gateway-process.ts'
import { acmeKey, keysEnv, otherKey } from './setting.ts'

let vendor: FakeVendor
let gateway: GatewayProcess

beforeAll(async () => {
  vendor = await FakeVendor.start()
})
afterEach(() => gateway?.dispose())
afterAll(() => vendor?.down())

/** Two models at one vendor with four slots each; tenant `acme` takes a stand-in, `other` does not. */
async function start(steps: string): Promise<void> {
  const endpoint = (model: string) =>
    `{ endpoints: [{ provider: own, upstreamModel: up-${model}, concurrencyMax: 4 }] }`
  const yaml = `
location: { country: NL, subProcessor: self }
limits: { queueMs: 1000, drainMs: 1000 }
providers:
  own: { kind: openai-compatible, baseUrl: "http://127.0.0.1:${vendor.port}/v1", apiKey: { env: VENDOR_KEY }, subProcessor: self, country: NL }
models:
  chat-large: ${endpoint('large')}
  chat-small: ${endpoint('small')}
plans:
  edu: { priority: 20, brownout: [${steps}] }
tenants:
  acme: { plan: edu, countries: any, subProcessors: any, allowSubstitutes: true, keys: [{ env: ACME_KEY }] }
  other: { plan: edu, countries: any, subProcessors: any, keys: [{ env: OTHER_KEY }] }
`
  gateway = await GatewayProcess.start(yaml, keysEnv)
}

function post(path: string, key: string, body: object, signal?: AbortSignal): Promise<Response> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  return fetch(`${gateway.url}${path}`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
    ...(signal && { signal }),
  })
}

const messages = [{ role: 'user', content: 'hi' }]

async function ask(key: string) {
  const request = { model: 'chat-large', messages, max_tokens: 20, tools: [{ type: 'function' }] }
  const answer = await post('/chat/completions', key, request)
  await answer.text()
  const { model, max_tokens, tools } = JSON.parse(vendor.chats.at(-1)?.body ?? '{}')
  return {
    status: answer.status,
    brownout: answer.headers.get('x-spillway-brownout'),
    retryAfter: answer.headers.get('retry-after'),
    sent: { model, max_tokens, tools },
  }
}

/** Asks until an answer says this of what it did without. */
async function askUntil(key: string, brownout: string | null) {
  let answer = await ask(key)
  await until(async () => {
    if (answer.brownout === brownout) return true
    await pause(100)
    answer = await ask(key)
    return false
  }, `no answer with ${brownout}`)
  return answer
}

/** Takes slots of `chat-large` for good. What it gives is to be kept: an answer that nobody holds is given up. */
async function occupy(slots: number, signal: AbortSignal): Promise<Response[]> {
  vendor.behaviour = { tokens: 100_000, everyMs: 50 }
  const answers: Response[] = []
  for (let open = 0; open < slots; open++) {
    const answer = await post('/chat/completions', otherKey, { model: 'chat-large', messages, stream: true }, signal)
    expect(answer.status).toBe(200)
    answers.push(answer)
  }
  vendor.behaviour = {}
  return answers
}

test('while a model is short its requests do without, step by step, and their answers say so; then no longer', async () => {
  await start(
    '{ above: 0.3, models: { chat-large: chat-small } }, { above: 0.6, outputTokensMax: 7, without: [tools] }, { above: 0.8, refuse: true }',
  )
  const leaving = new AbortController()
  const held = await occupy(2, leaving.signal)
  expect((await askUntil(acmeKey, 'model=chat-small')).sent).toMatchObject({ model: 'up-small', max_tokens: 20 })

  held.push(...(await occupy(1, leaving.signal)))
  const less = { max_tokens: 7, tools: null }
  const standIn = await askUntil(acmeKey, 'model=chat-small, output-tokens-max=7, without=tools')
  expect(standIn.sent).toEqual({ model: 'up-small', ...less })
  // The terms of the other keep its model.
  expect((await askUntil(otherKey, 'output-tokens-max=7, without=tools')).sent).toEqual({ model: 'up-large', ...less })

  held.push(...(await occupy(1, leaving.signal)))
  const refused = await askUntil(acmeKey, 'refuse=chat-large')
  expect(refused).toMatchObject({ status: 503, retryAfter: expect.stringMatching(/^\d+$/) })
  const explained = await (await post('/explain', acmeKey, { model: 'chat-large' })).json()
  expect(explained).toMatchObject({ pressure: 1, brownout: [{ above: 0.3 }, { above: 0.6 }, { refuse: true }] })

  leaving.abort()
  expect(held).toHaveLength(4)
  expect(await askUntil(acmeKey, null)).toMatchObject({ status: 200, sent: { model: 'up-large', max_tokens: 20 } })
}, 90_000)
