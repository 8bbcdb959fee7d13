import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chat, eventsOf, TestFleet } from '../testing.ts'

let fleet: TestFleet

beforeAll(async () => {
  fleet = await TestFleet.open('coreweave')
})

afterAll(() => fleet.close())

const model = 'openai/gpt-oss-120b'
const ask = (target: string, body?: string, key = fleet.secret('coreweave-key')) =>
  fetch(fleet.url('NO', target), {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${key}` },
    ...(body !== undefined && { body }),
  })

describe('a cloud that speaks vLLM’s wire', () => {
  test('answers a chat, whole or as a stream', async () => {
    const whole = await ask('/v1/chat/completions', chat({ model }))
    expect(whole.headers.get('x-simulation')).toBe('coreweave/NO on 2 x B200')
    expect(await whole.json()).toMatchObject({
      object: 'chat.completion',
      model,
      choices: [{ message: { role: 'assistant' }, finish_reason: 'length', stop_reason: null }],
      usage: { prompt_tokens: 10, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 0 } },
    })
    const events = eventsOf(await (await ask('/v1/chat/completions', chat({ model, stream: true }, 10, 12))).text())
    expect(events).toHaveLength(1 + 12 + 1 + 1)
    const text = events.slice(0, -1).map((event) => JSON.parse(event).choices[0].delta.content ?? '')
    expect(text.join('')).toMatch(/^Simulation: coreweave in NO on 2 x B200 answers. /)
  })

  test('says its usage in every event where it is asked to', async () => {
    const options = { include_usage: true, continuous_usage_stats: true }
    const body = chat({ model, stream: true, stream_options: options }, 10, 3)
    const events = eventsOf(await (await ask('/v1/chat/completions', body)).text())
    const counted = events.slice(0, -1).map((event) => JSON.parse(event).usage.completion_tokens)
    expect(counted).toEqual([0, 1, 2, 3, 3, 3])
  })

  test('completes a text, and embeds one', async () => {
    const text = JSON.stringify({ model, prompt: 'a b c', max_tokens: 4 })
    expect(await (await ask('/v1/completions', text)).json()).toMatchObject({
      object: 'text_completion',
      usage: { prompt_tokens: 3, completion_tokens: 4 },
    })
    const embedded = await ask('/v1/embeddings', JSON.stringify({ model, input: 'a b' }))
    expect(await embedded.json()).toMatchObject({ object: 'list', usage: { prompt_tokens: 2 } })
  })

  test('calls a tool that it must call, with arguments that are JSON however many tokens they have', async () => {
    const tools = [{ type: 'function', function: { name: 'find_place', parameters: { type: 'object' } } }]
    for (const tokens of [1, 2, 3, 17]) {
      const answer = await ask('/v1/chat/completions', chat({ model, tools, tool_choice: 'required' }, 10, tokens))
      const { choices } = (await answer.json()) as {
        choices: {
          message: { tool_calls: { function: { name: string; arguments: string } }[] }
          finish_reason: string
        }[]
      }
      expect(choices[0]?.finish_reason).toBe('tool_calls')
      const called = choices[0]?.message.tool_calls[0]?.function
      expect(called?.name).toBe('find_place')
      expect(JSON.parse(called?.arguments ?? '')).toBeTypeOf('object')
    }
  })

  test('lists its models, and tells anybody its health, version and load', async () => {
    const models = (await (await ask('/v1/models')).json()) as { data: { id: string }[] }
    expect(models.data.map(({ id }) => id)).toEqual(['openai/gpt-oss-120b', 'openai/gpt-oss-20b'])
    expect((await ask('/health', undefined, 'none')).status).toBe(200)
    expect(await (await ask('/version', undefined, 'none')).json()).toEqual({ version: 'simulation' })
    expect(await (await ask('/metrics', undefined, 'none')).text()).toContain('vllm:num_requests_running{')
  })

  test('refuses a wrong key, an unknown model or path, and a body that is none', async () => {
    expect((await ask('/v1/chat/completions', chat({ model }), 'wrong')).status).toBe(401)
    const unknown = await ask('/v1/chat/completions', chat({ model: 'gpt-9' }))
    expect(unknown.status).toBe(404)
    expect(await unknown.json()).toMatchObject({ error: { type: 'NotFoundError', code: 404 } })
    expect((await ask('/v1/poems', '{}')).status).toBe(404)
    const broken = await ask('/v1/chat/completions', chat({ model }, 10, 0))
    expect(broken.status).toBe(400)
    expect(await broken.json()).toMatchObject({ error: { type: 'BadRequestError', message: expect.any(String) } })
  })

  test('counts a beginning that it has seen lately as cached, in blocks of 64 tokens', async () => {
    const body = chat({ model, max_tokens: 1 }, 300)
    const cached = async () => {
      const answer = (await (await ask('/v1/chat/completions', body)).json()) as {
        usage: { prompt_tokens_details: { cached_tokens: number } }
      }
      return answer.usage.prompt_tokens_details.cached_tokens
    }
    expect(await cached()).toBe(0)
    const again = await cached()
    expect(again).toBeGreaterThan(0)
    expect(again % 64).toBe(0)
  })
})
