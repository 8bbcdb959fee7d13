import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { UsageRow } from '../../src/adapters/storage/storage.ts'
import { FakeVendor, type ScriptedExchange } from './fake-vendor.ts'
import type { GatewayProcess } from './gateway-process.ts'
import { exportedRows } from './ledger-rows.ts'
import { acmeKey, startOver } from './setting.ts'

let vendor: FakeVendor
let gateway: GatewayProcess

const send = async (operation: string, body: object) => {
  const answer = await fetch(`${gateway.url}/${operation}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${acmeKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'chat-large', ...body }),
  })
  return { id: String(answer.headers.get('x-request-id')), text: await answer.text() }
}

const choice = (index: number, delta: object, more: object = {}) => ({
  id: 'c',
  object: 'chat.completion.chunk',
  choices: [{ index, delta, finish_reason: null, ...more }],
})
const word = (number: number) => ` w${number}`

interface Kind {
  readonly what: string
  readonly operation: string
  readonly body: object
  /** Tokens that each event carries. */
  readonly tokensEach: number
  readonly opening?: object
  event(number: number): object
}

const messages = [{ role: 'user', content: 'hello' }]
const chat = { operation: 'chat/completions', body: { messages }, tokensEach: 1 }
const kinds: readonly Kind[] = [
  {
    ...chat,
    what: 'words',
    opening: choice(0, { role: 'assistant', content: '' }),
    event: (number) => choice(0, { content: word(number) }),
  },
  {
    ...chat,
    what: 'thoughts, under both names that engines give them',
    event: (number) => choice(0, { reasoning: word(number), reasoning_content: word(number) }),
  },
  {
    ...chat,
    what: 'arguments of a tool',
    opening: choice(0, { tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'look' } }] }),
    event: (number) => choice(0, { tool_calls: [{ index: 0, function: { arguments: number % 3 === 0 ? '"' : 'x' } }] }),
  },
  {
    ...chat,
    what: 'words with their odds',
    event: (number) =>
      choice(
        0,
        { content: word(number) },
        { logprobs: { content: [{ token: word(number), logprob: -0.5, top_logprobs: [{ token: ' content' }] }] } },
      ),
  },
  {
    ...chat,
    what: 'two answers side by side',
    body: { messages, n: 2 },
    event: (number) => choice(number % 2, { content: word(number) }),
  },
  {
    ...chat,
    what: 'words in bundles of five',
    tokensEach: 5,
    event: (number) => choice(0, { content: [1, 2, 3, 4, 5].map((one) => word(number * 5 + one)).join('') }),
  },
  {
    what: 'an old completion',
    operation: 'completions',
    body: { prompt: 'hello' },
    tokensEach: 1,
    event: (number) => ({ id: 'c', object: 'text_completion', choices: [{ index: 0, text: word(number) }] }),
  },
]
const eventsMax = 60

const endings = ['usage', 'no usage', 'cut'] as const
type Ending = (typeof endings)[number]

/** Streams all events, with or without usage after them, or most of them and then breaks. */
const streams = ({ opening, event, tokensEach }: Kind, ending: Ending) => {
  const tokens = tokensEach * eventsMax
  const usage = { prompt_tokens: 33, completion_tokens: tokens, total_tokens: 33 + tokens }
  return async ({ response, socket }: ScriptedExchange) => {
    const say = (value: object) => response.write(`data: ${JSON.stringify(value)}\n\n`)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    if (opening) say(opening)
    for (let number = 0; number < (ending === 'cut' ? eventsMax - 19 : eventsMax); number++) {
      say(event(number))
      if (number % 7 === 0) await new Promise(setImmediate)
    }
    if (ending === 'cut') return response.write(': last\n\n', () => socket.destroy())
    if (ending === 'usage') say({ id: 'u', choices: [], usage })
    return response.end('data: [DONE]\n\n')
  }
}

const prompt = { prompt: 'hello' }
const text = { id: 'c', object: 'text_completion', choices: [{ index: 0, text: ' one two three four' }] }
const vector = { object: 'list', data: [{ object: 'embedding', index: 0, embedding: [0.1, 0.2] }] }
const wholes = {
  'embeddings with usage': [
    'embeddings',
    { input: 'hello' },
    { ...vector, usage: { prompt_tokens: 7, total_tokens: 7 } },
  ],
  'embeddings without': ['embeddings', { input: 'hello' }, vector],
  'a completion with usage': [
    'completions',
    prompt,
    {
      ...text,
      usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7, prompt_tokens_details: { cached_tokens: 2 } },
    },
  ],
  'a completion without': ['completions', prompt, text],
} as const

/** What came to the caller, and what stands in the ledger. */
interface Outcome {
  readonly text: string
  readonly delivered: number
  readonly row: UsageRow
}
const outcomes = new Map<string, Outcome>()
const outcome = (name: string) => outcomes.get(name) as Outcome

// All of it first, so that the ledger is read once.
beforeAll(async () => {
  vendor = await FakeVendor.start()
  gateway = await startOver([{ name: 'own', vendor, subProcessor: 'self', country: 'NL' }])
  const answers: { name: string; id: string; text: string; delivered: number }[] = []
  for (const kind of kinds) {
    for (const ending of endings) {
      vendor.behaviour = { script: streams(kind, ending) }
      const answer = await send(kind.operation, { ...kind.body, stream: true })
      const events = (answer.text.match(/^data: \{"id":"c"/gm)?.length ?? 0) - (kind.opening ? 1 : 0)
      answers.push({ name: `${kind.what}, ${ending}`, ...answer, delivered: kind.tokensEach * events })
    }
  }
  for (const [name, [operation, body, value]] of Object.entries(wholes)) {
    vendor.behaviour = {
      script: ({ response }) =>
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value)),
    }
    answers.push({ name, ...(await send(operation, body)), delivered: 0 })
  }
  const rows = await exportedRows(gateway)
  for (const { name, id, ...seen } of answers) outcomes.set(name, { ...seen, row: rows.get(id) as UsageRow })
}, 120_000)
afterAll(async () => {
  await gateway?.dispose()
  await vendor?.down()
})

describe.each(kinds)('a stream of $what', ({ what, tokensEach }) => {
  test("is settled by the vendor's word where it has the last one", () => {
    const { row, delivered, text } = outcome(`${what}, usage`)
    expect(text).toContain('[DONE]')
    expect(delivered).toBe(tokensEach * eventsMax)
    expect(row).toMatchObject({ state: 'ok', estimated: false, inputTokens: 33, outputTokens: delivered })
  })

  test('is counted where the vendor says nothing, and flagged', () => {
    const { row, delivered } = outcome(`${what}, no usage`)
    expect(delivered).toBe(tokensEach * eventsMax)
    expect(row).toMatchObject({ state: 'ok', estimated: true })
    expect(row.outputTokens).toBeGreaterThanOrEqual(delivered)
    expect(row.outputTokens).toBeLessThanOrEqual(delivered + 64)
  })

  test('that breaks is settled at no less than what was delivered, and at most a window more', () => {
    const { row, delivered, text } = outcome(`${what}, cut`)
    expect(text).toContain('upstream_stream_cut')
    expect(delivered).toBeGreaterThan(0)
    expect(row).toMatchObject({ state: 'partial', estimated: true })
    expect(row.outputTokens).toBeGreaterThanOrEqual(delivered)
    expect(row.outputTokens).toBeLessThanOrEqual(delivered + 64)
  })
})

describe('a whole answer', () => {
  test('of embeddings has no output', () => {
    const known = { estimated: false, inputTokens: 7, outputTokens: 0, nanoUsd: 7_000 }
    expect(outcome('embeddings with usage').row).toMatchObject(known)
    const { row } = outcome('embeddings without')
    expect(row).toMatchObject({ state: 'ok', estimated: true, outputTokens: 0 })
    expect(row.inputTokens).toBeGreaterThan(0)
  })

  test('of a completion is settled by its usage, or counted', () => {
    expect(outcome('a completion with usage').row).toMatchObject({
      estimated: false,
      inputTokens: 3,
      cachedInputTokens: 2,
      outputTokens: 4,
      // One at the full price, two from the cache at half of it, four out at twice.
      nanoUsd: 1_000 + 2 * 500 + 4 * 2_000,
    })
    const { row } = outcome('a completion without')
    expect(row).toMatchObject({ state: 'ok', estimated: true })
    expect(row.outputTokens).toBeGreaterThanOrEqual(4)
  })
})
