import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chat, eventsOf, TestFleet } from '../testing.ts'

let fleet: TestFleet

beforeAll(async () => {
  fleet = await TestFleet.open('microsoft')
})

afterAll(() => fleet.close())

const deployed = '/openai/deployments/gpt-oss-120b'
const version = '?api-version=2024-10-21'
const post = (
  target: string,
  body: string,
  headers: Record<string, string> = { 'api-key': fleet.secret('azure-key') },
) => fetch(fleet.url('GB', target), { method: 'POST', body, headers })
const errorOf = async (answer: Response) => ((await answer.json()) as { error: Record<string, unknown> }).error

describe('a cloud that speaks Azure’s wire', () => {
  test('answers a deployment named in the path, and says where it ran', async () => {
    const answer = await post(`${deployed}/chat/completions${version}`, chat())
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-ms-region')).toBe('UK South')
    expect(answer.headers.get('x-ms-deployment-name')).toBe('gpt-oss-120b')
    expect(answer.headers.get('apim-request-id')).toMatch(/^[0-9a-f-]{36}$/)
    expect(answer.headers.get('x-ratelimit-remaining-requests')).toMatch(/^\d+$/)
    expect(answer.headers.get('x-simulation')).toBe('microsoft/GB on 4 x H100')
    expect(await answer.json()).toMatchObject({
      object: 'chat.completion',
      model: 'gpt-oss-120b',
      choices: [{ finish_reason: 'length', content_filter_results: { hate: { filtered: false } } }],
      prompt_filter_results: [{ prompt_index: 0 }],
      usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
    })
  })

  test('answers on the newer path, where the body names the deployment', async () => {
    const answer = await post('/openai/v1/chat/completions', chat({ model: 'gpt-oss-20b' }))
    expect(answer.headers.get('x-ms-deployment-name')).toBe('gpt-oss-20b')
    expect(await answer.json()).toMatchObject({ model: 'gpt-oss-20b' })
  })

  test('streams, its filter’s word on the prompt first and its word on the answer in each event', async () => {
    const body = chat({ stream: true, stream_options: { include_usage: true } }, 10, 20)
    const answer = await post(`${deployed}/chat/completions${version}`, body)
    expect(answer.headers.get('content-type')).toMatch(/^text\/event-stream/)
    const events = eventsOf(await answer.text())
    expect(events.at(-1)).toBe('[DONE]')
    const chunks = events.slice(0, -1).map((event) => JSON.parse(event))
    expect(chunks[0]).toMatchObject({ id: '', choices: [], prompt_filter_results: [{ prompt_index: 0 }] })
    expect(chunks[1].choices[0].delta).toEqual({ role: 'assistant', content: '' })
    const words = chunks.slice(2, -2).map(({ choices: [choice] }) => choice.delta.content)
    expect(words).toHaveLength(20)
    expect(words.join('')).toMatch(/^Simulation: microsoft in GB on 4 x H100 answers. /)
    for (const { choices, usage } of chunks.slice(1, -1)) {
      expect(choices[0].content_filter_results.hate).toEqual({ filtered: false, severity: 'safe' })
      expect(usage).toBeNull()
    }
    expect(chunks.at(-2).choices[0]).toMatchObject({ delta: {}, finish_reason: 'length' })
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 10, completion_tokens: 20 } })
  })

  test('takes a bearer token, as one from Entra would come', async () => {
    const authorization = `Bearer ${fleet.secret('azure-key')}`
    expect((await post(`${deployed}/chat/completions${version}`, chat(), { authorization })).status).toBe(200)
  })

  test.each([
    ['a wrong key', `${deployed}/chat/completions${version}`, { 'api-key': 'wrong' }, 401, '401'],
    ['no key', `${deployed}/chat/completions${version}`, {}, 401, '401'],
    ['no version of the API', `${deployed}/chat/completions`, undefined, 404, '404'],
    ['an unknown operation', `${deployed}/poems${version}`, undefined, 404, '404'],
    [
      'an unknown deployment',
      `/openai/deployments/mine/chat/completions${version}`,
      undefined,
      404,
      'DeploymentNotFound',
    ],
  ])('refuses %s', async (_what, target, headers, status, code) => {
    const answer = await post(target, chat(), headers)
    expect(answer.status).toBe(status)
    expect((await errorOf(answer))['code']).toBe(code)
  })

  test('refuses what is no chat, with a word on why', async () => {
    const answer = await post(`${deployed}/chat/completions${version}`, '{"messages":[]}')
    expect(answer.status).toBe(400)
    expect((await errorOf(answer))['message']).toContain('messages')
    expect((await post(`${deployed}/chat/completions${version}`, '{')).status).toBe(400)
  })

  test('when it is too much, says so as Azure does and when to come back', async () => {
    await fleet.cloud('GB').fail('429', undefined)
    const answer = await post(`${deployed}/chat/completions${version}`, chat())
    await fleet.cloud('GB').heal()
    expect(answer.status).toBe(429)
    expect(answer.headers.get('retry-after')).toBe('1')
    expect(answer.headers.get('retry-after-ms')).toBe('500')
    const error = await errorOf(answer)
    expect(error['code']).toBe('429')
    expect(error).not.toHaveProperty('type')
  })

  test('embeds, one vector for each input', async () => {
    const answer = await post(`${deployed}/embeddings${version}`, JSON.stringify({ input: ['a b', 'c'] }))
    const { data, usage } = (await answer.json()) as { data: { index: number; embedding: number[] }[]; usage: object }
    expect(data.map(({ index, embedding }) => [index, embedding.length])).toEqual([
      [0, 64],
      [1, 64],
    ])
    expect(usage).toEqual({ prompt_tokens: 3, total_tokens: 3 })
  })
})
