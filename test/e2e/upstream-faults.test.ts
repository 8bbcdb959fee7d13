import { existsSync, readFileSync } from 'node:fs'
import { request } from 'node:http'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { FakeVendor, type ScriptedExchange, type SeenRequest } from './fake-vendor.ts'
import { type GatewayProcess, pause } from './gateway-process.ts'
import { exportedRows } from './ledger-rows.ts'
import { acmeKey, startOver } from './setting.ts'
import { streamChat } from './stream-chat.ts'

const limitMs = 1_000
const limits = `{ firstByteMs: ${limitMs}, streamIdleMs: ${limitMs}, queueMs: 2000, drainMs: 3000 }`

let gb: FakeVendor
let no: FakeVendor
let gateway: GatewayProcess

const start = async (extra: { concurrencyMax?: number } = {}) => {
  gb = await FakeVendor.start()
  no = await FakeVendor.start()
  gateway = await startOver(
    [
      { name: 'azure-gb', vendor: gb, subProcessor: 'microsoft', country: 'GB' },
      { name: 'own-no', vendor: no, subProcessor: 'self', country: 'NO' },
    ],
    { limits, ...extra },
  )
}

const stop = async () => {
  await gateway.dispose()
  await Promise.all([gb.down(), no.down()])
}

/** What both vendors do with what they are asked; probes are answered well. */
const bothDo = (script: (exchange: ScriptedExchange) => void) => {
  for (const vendor of [gb, no]) vendor.behaviour = { script: orProbe(script) }
}
const orProbe =
  (script: (exchange: ScriptedExchange) => void) =>
  (exchange: ScriptedExchange): void => {
    if (exchange.seen.body !== '') script(exchange)
    else exchange.response.writeHead(200, jsonHead).end('{"object":"list","data":[]}')
  }

/** Runs `one` for 0 to `count` - 1, so many at a time. */
async function load<T>(count: number, atOnce: number, one: (index: number) => Promise<T>): Promise<T[]> {
  const outcomes: T[] = []
  let next = 0
  const run = async () => {
    while (next < count) {
      const index = next++
      outcomes[index] = await one(index)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, run))
  return outcomes
}

interface Asked {
  readonly id: string
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  /** From the request sent to the first byte of the body, and to the end, ms. */
  readonly firstMs: number
  readonly endMs: number
}

/** One request over a connection of its own, answered whole. */
function ask(body: object, headers: Record<string, string> = {}): Promise<Asked> {
  const sentMs = performance.now()
  return new Promise((resolve, reject) => {
    const call = request(
      `${gateway.url}/chat/completions`,
      {
        method: 'POST',
        agent: false,
        headers: { authorization: `Bearer ${acmeKey}`, 'content-type': 'application/json', ...headers },
      },
      (answer) => {
        const pieces: Buffer[] = []
        let firstMs = 0
        answer.on('data', (piece: Buffer) => {
          if (pieces.length === 0) firstMs = performance.now() - sentMs
          pieces.push(piece)
        })
        answer.on('error', reject)
        answer.on('end', () =>
          resolve({
            id: String(answer.headers['x-request-id']),
            status: answer.statusCode ?? 0,
            headers: answer.headers as Record<string, string>,
            body: Buffer.concat(pieces),
            firstMs,
            endMs: performance.now() - sentMs,
          }),
        )
      },
    )
    call.on('error', reject)
    call.end(JSON.stringify({ model: 'chat-large', messages: [{ role: 'user', content: 'hello' }], ...body }))
  })
}

/** Sends a request whose client leaves when told to. */
function leaving(body: object): { leave(): void } {
  const call = request(`${gateway.url}/chat/completions`, {
    method: 'POST',
    agent: false,
    headers: { authorization: `Bearer ${acmeKey}`, 'content-type': 'application/json' },
  })
  call.on('error', () => {})
  call.on('response', (answer) => answer.on('error', () => {}).resume())
  call.end(JSON.stringify({ model: 'chat-large', messages: [{ role: 'user', content: 'hello' }], ...body }))
  return { leave: () => call.destroy() }
}

const chats = () => [...gb.chats, ...no.chats]
const idOf = (seen: SeenRequest) => String(seen.headers['x-request-id'])
const askedOf = ({ body }: SeenRequest) =>
  JSON.parse(body) as { stream?: boolean; max_tokens: number; messages: { content: string }[] }
const streamHead = { 'content-type': 'text/event-stream' }
const jsonHead = { 'content-type': 'application/json' }
const event = (value: object) => `data: ${JSON.stringify(value)}\n\n`
const word = (content: string) => event({ id: 'c', choices: [{ index: 0, delta: { content } }] })
const answerOf = (content: string) =>
  JSON.stringify({
    id: 'c',
    choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 11, completion_tokens: 1, total_tokens: 12 },
  })

async function until(holds: () => boolean, what: string): Promise<void> {
  const dueMs = performance.now() + 10_000
  while (!holds()) {
    if (performance.now() > dueMs) throw new Error(`it did not come about that ${what}`)
    await pause(5)
  }
}

/** Each with a gateway of its own: what one learned of its vendors is not for the next. */
const alone = { timeout: 120_000 }
/** Those that hurt no vendor share one. */
const shared = { timeout: 30_000 }

describe('a stream that breaks', alone, () => {
  afterEach(stop)

  test('of a thousand, none is taken for whole, none is tried again once content was delivered, all are settled', async () => {
    await start()
    /** Sends `max_tokens` tokens, then breaks, in a way that goes by their number. */
    const breaks = ({ seen, response, socket }: ScriptedExchange) => {
      const tokens = askedOf(seen).max_tokens % 7
      if (tokens === 0) return socket.resetAndDestroy()
      response.writeHead(200, streamHead)
      for (; seen.events < tokens; seen.events++) response.write(word(`w${seen.events} `))
      const ways = [
        () => socket.resetAndDestroy(),
        () => socket.destroy(),
        () => response.end(),
        () => response.end(word('cut').slice(0, 20)),
        () => response.end(event({ error: { message: 'out of memory', type: 'server_error' } })),
        () => socket.write('not a chunk\r\n'),
      ]
      // What was written is sent first.
      return response.write(': ping\n\n', ways[askedOf(seen).max_tokens % ways.length])
    }
    bothDo(breaks)
    const streams = await load(1_000, 24, (index) => streamChat(gateway.port, { maxTokens: index + 1 }))
    expect(streams.filter(({ whole }) => whole)).toEqual([])
    const rows = await exportedRows(gateway)
    const triesOf = new Map<string, SeenRequest[]>()
    for (const seen of chats()) triesOf.set(idOf(seen), [...(triesOf.get(idOf(seen)) ?? []), seen])
    for (const { id, status, tokens, code } of streams) {
      const row = rows.get(id as string)
      const tries = triesOf.get(id as string) ?? []
      const delivering = tries.filter(({ events }) => events > 0)
      if (tokens > 0) {
        expect({ status, code }).toEqual({ status: 200, code: 'upstream_stream_cut' })
        expect(delivering).toHaveLength(1)
        expect(row).toMatchObject({ state: 'partial', estimated: true, attempts: tries.length })
        expect(row?.outputTokens).toBeGreaterThanOrEqual(tokens)
        expect(row?.outputTokens).toBeLessThanOrEqual(tokens + 64)
      } else {
        expect(status).toBeGreaterThanOrEqual(502)
        expect(delivering).toEqual([])
        expect(row).toMatchObject({ state: 'failed', outputTokens: 0 })
      }
    }
    expect(streams.filter(({ tokens }) => tokens > 0).length).toBeGreaterThan(500)
    // Retries: a fifth of the requests, and a few.
    expect(chats().length).toBeLessThanOrEqual(1.2 * streams.length + 3)
  })

  test('by falling silent ends in an error event within a second of its limit', async () => {
    await start()
    const stalls = ({ response }: ScriptedExchange) => response.writeHead(200, streamHead).write(word('a'))
    bothDo(stalls)
    const { status, body, firstMs, endMs, id } = await ask({ stream: true })
    expect(status).toBe(200)
    expect(body.toString()).toContain('upstream_stream_cut')
    expect(body.toString()).not.toContain('[DONE]')
    expect(endMs - firstMs).toBeGreaterThan(limitMs - 100)
    expect(endMs - firstMs).toBeLessThan(limitMs + 1_000)
    await until(() => chats().every(({ ended }) => ended === 'client-left'), 'the vendor sees the connection close')
    expect(chats()).toHaveLength(1)
    expect((await exportedRows(gateway)).get(id)).toMatchObject({ state: 'partial', estimated: true, outputTokens: 1 })
  })
})

describe('a vendor that breaks HTTP', alone, () => {
  afterEach(stop)

  test('never has the answer to one request taken for that to another', async () => {
    await start()
    const rude = ({ seen, socket }: ScriptedExchange) => {
      const body = answerOf(askedOf(seen).messages[0]?.content ?? '')
      const surplus = answerOf(`left over from ${idOf(seen)}`)
      const raw = (text: string) =>
        `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`
      const turn = gb.seen.length % 12
      if (turn === 0) return socket.write(raw(body) + raw(surplus))
      if (turn === 1) return socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n${body}`)
      socket.write(raw(body))
      return setTimeout(() => socket.write(raw(surplus)), turn)
    }
    bothDo(rude)
    const mine = (index: number) => ask({ messages: [{ role: 'user', content: `mine is ${index}` }] })
    // One after the other at first: what comes too late to be told from the next answer is nobody's to catch.
    const answers = await load(40, 1, async (index) => {
      await pause(40)
      return mine(index)
    })
    answers.push(...(await load(1_960, 16, (index) => mine(index + 40))))
    let good = 0
    for (const [index, { status, body }] of answers.entries()) {
      const text = body.toString()
      expect(text).not.toContain('left over')
      if (status === 200) {
        expect(text).toBe(answerOf(`mine is ${index}`))
        good++
      } else expect(Object.keys(JSON.parse(text).error).sort()).toEqual(['code', 'message', 'param', 'type'])
    }
    expect(good).toBeGreaterThan(1_800)
    const rows = await exportedRows(gateway)
    for (const { id, status } of answers) expect(rows.get(id)).toMatchObject({ status, estimated: false })
  })

  test('that closes its connections at any moment between requests fails none of them', async () => {
    await start()
    const hasty = ({ seen, response, socket }: ScriptedExchange) => {
      response
        .writeHead(200, jsonHead)
        .end(answerOf('ok'), () => setTimeout(() => socket.destroy(), 18 + (seen.connection % 8)))
    }
    bothDo(hasty)
    const answers = await load(400, 4, async (index) => {
      await pause(15 + (index % 12))
      return ask({})
    })
    expect(answers.map(({ status }) => status)).toEqual(Array(400).fill(200))
    expect(gateway.said).not.toContain('ejected')
  })
})

describe('a vendor', alone, () => {
  afterEach(stop)

  test('that is silent is given up within a second of the limit, and one other is tried', async () => {
    await start()
    bothDo(() => {})
    for (const stream of [true, false]) {
      gb.seen.length = 0
      no.seen.length = 0
      const { status, body, endMs, id, headers } = await ask({ stream })
      expect(status).toBe(504)
      expect(JSON.parse(body.toString())).toMatchObject({ error: { code: 'upstream_timeout' } })
      expect(headers['x-spillway-attempts']).toBe('2')
      expect(endMs).toBeGreaterThan(2 * limitMs - 100)
      expect(endMs).toBeLessThan(2 * (limitMs + 1_000))
      await until(() => chats().every(({ ended }) => ended === 'client-left'), 'both vendors see the connection close')
      expect([gb.chats.length, no.chats.length]).toEqual([1, 1])
      expect((await exportedRows(gateway)).get(id)).toMatchObject({ state: 'failed', status: 504, attempts: 2 })
    }
  })

  test('that has too much to do is left alone as long as it asks, and its share goes elsewhere', async () => {
    await start()
    const retryAfterMs = 600
    /** What was on its way when the vendor said so comes in soon after. */
    const onTheWayMs = 250
    let heldFromMs = Number.NEGATIVE_INFINITY
    const early: number[] = []
    let refused = 0
    let served = 0
    gb.behaviour = {
      script: orProbe(({ response }) => {
        const sinceMs = performance.now() - heldFromMs
        if (sinceMs > onTheWayMs && sinceMs < retryAfterMs) early.push(sinceMs)
        if ((refused + served) % 2 === 0) {
          served++
          return response.writeHead(200, jsonHead).end(answerOf('ok'))
        }
        refused++
        heldFromMs = performance.now()
        return response.writeHead(429, { 'retry-after-ms': String(retryAfterMs) }).end('{}')
      }),
    }
    const answers = await load(1_000, 4, async (index) => {
      await pause(8)
      // Each of its own: those that begin alike go where the first one was answered.
      return ask({ messages: [{ role: 'user', content: `${index} is a question` }] })
    })
    expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(995)
    expect(early).toEqual([])
    expect(refused).toBeGreaterThan(2)
  })

  test('that resets every connection costs nobody an answer, and is left alone', async () => {
    await start()
    gb.behaviour = { script: orProbe(({ socket }) => socket.resetAndDestroy()) }
    const streams = await load(400, 16, () => streamChat(gateway.port, { maxTokens: 3 }))
    expect(streams.filter(({ whole }) => whole).length).toBeGreaterThanOrEqual(398)
    // Five in a row, and those that were on their way.
    expect(gb.chats.length).toBeLessThanOrEqual(5 + 16)
    const rows = await exportedRows(gateway)
    for (const { id } of streams) expect(rows.get(id as string)).toMatchObject({ state: 'ok', outputTokens: 3 })
  })
})

describe('a vendor that sends without end', alone, () => {
  afterEach(stop)

  const processes = '/proc'
  test.skipIf(!existsSync(processes))('costs no more memory than one answer may have (read from /proc)', async () => {
    await start()
    const residentBytes = () =>
      1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`${processes}/${gateway.pid}/status`, 'utf8'))?.[1])
    bothDo(({ response }) => response.writeHead(200, jsonHead).end(answerOf('ok')))
    await load(200, 4, () => ask({}))
    const beforeBytes = residentBytes()
    const endless =
      (head: Record<string, string>, first: string, piece: string) =>
      ({ response }: ScriptedExchange) => {
        response.writeHead(200, head).write(first)
        const more = () => {
          for (let written = 0; !response.destroyed && written < 1_000; written++) if (!response.write(piece)) break
          if (!response.destroyed) setImmediate(more)
        }
        more()
      }
    const large = 'x'.repeat(65_536)
    const ways: readonly [stream: boolean, script: (exchange: ScriptedExchange) => void][] = [
      [false, endless(jsonHead, '{"choices":[],"x":"', large)],
      [false, endless(jsonHead, '{"choices":[],"x":"', 'x'.repeat(10))],
      [true, endless(streamHead, 'data: {"choices":[],"x":"', large)],
      [true, endless(streamHead, ': x\n\n', `: ${'x'.repeat(100)}\n\n`)],
    ]
    let peakBytes = 0
    const watch = setInterval(() => {
      peakBytes = Math.max(peakBytes, residentBytes())
    }, 2)
    for (const [stream, script] of ways) {
      bothDo(script)
      const { status, body } = await ask({ stream })
      expect([status, JSON.parse(body.toString()).error.code]).toEqual([502, 'upstream_invalid_answer'])
    }
    clearInterval(watch)
    // The answer itself, and what a busy process takes anyway.
    expect(peakBytes - beforeBytes).toBeLessThan((32 + 24) * 1024 * 1024)
  })
})

describe('what a caller gets', shared, () => {
  beforeAll(() => start(), 30_000)
  afterAll(stop)
  beforeEach(() => {
    gb.seen.length = 0
    no.seen.length = 0
  })

  test('is what the vendor sent, byte for byte, cut anywhere, however large', async () => {
    const usage = { prompt_tokens: 11, completion_tokens: 9, total_tokens: 20 }
    const hidden = event({ id: 'c', choices: [], usage })
    const parts = [
      ': the engine wakes\r\n\r\n',
      word('Grüße 👋 \\u00e9 9007199254740993'),
      'data: {"choices":[{"delta":\r\ndata: {"content":"two lines"}}]}\r\n\r\n',
      'id: 5\nretry: 10\n',
      word('after other fields'),
      ': ping\n\n',
      word('x'.repeat(1024 * 1024)),
      event({ id: 'c', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: null }),
      hidden,
      'data: [DONE]\n\n',
    ]
    const bytes = Buffer.from(parts.join(''))
    const script = async ({ response }: ScriptedExchange) => {
      response.writeHead(200, streamHead)
      for (let at = 0, step = 1; at < bytes.length; at += step, step = at < 600 ? 1 + (at % 5) : 70_001) {
        response.write(bytes.subarray(at, at + step))
        await new Promise(setImmediate)
      }
      response.end()
    }
    bothDo(script)
    const plain = await ask({ stream: true })
    expect(plain.body.equals(Buffer.from(parts.filter((part) => part !== hidden).join('')))).toBe(true)
    const withUsage = await ask({ stream: true, stream_options: { include_usage: true } })
    expect(withUsage.body.equals(bytes)).toBe(true)
    const rows = await exportedRows(gateway)
    for (const { id } of [plain, withUsage])
      expect(rows.get(id)).toMatchObject({ state: 'ok', estimated: false, inputTokens: 11, outputTokens: 9 })
  })

  test('comes within 50 ms of the vendor sending it', async () => {
    let sentMs = 0
    const script = ({ response }: ScriptedExchange) => {
      response.writeHead(200, streamHead).write(word('first'))
      sentMs = performance.now()
      setTimeout(() => response.end('data: [DONE]\n\n'), 200)
    }
    bothDo(script)
    const delaysMs: number[] = []
    for (let round = 0; round < 5; round++) {
      const askedMs = performance.now()
      const { firstMs } = await ask({ stream: true })
      delaysMs.push(askedMs + firstMs - sentMs)
    }
    // The best of five: the machine may have other things to do.
    expect(Math.min(...delaysMs)).toBeLessThan(50)
  })

  test("is nothing of the vendor's cookies, origins, limits and names; the vendor gets nothing of the caller's", async () => {
    const script = ({ seen, response }: ScriptedExchange) => {
      const headers = {
        'set-cookie': 'vendor=1',
        'access-control-allow-origin': '*',
        'x-ratelimit-limit-requests': '7',
        'openai-organization': 'ours',
        server: 'vendor',
        via: 'vendor',
        'alt-svc': 'h3',
        'openai-processing-ms': '12',
      }
      if (askedOf(seen).stream)
        response.writeHead(200, { ...headers, ...streamHead }).end(`${word('a')}data: [DONE]\n\n`)
      else response.writeHead(200, { ...headers, ...jsonHead }).end(answerOf('ok'))
    }
    bothDo(script)
    const own = {
      cookie: 'session=1',
      'x-forwarded-for': '203.0.113.7',
      forwarded: 'for=203.0.113.7',
      'x-real-ip': '203.0.113.7',
      'x-stainless-retry-count': '1',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      referer: 'https://caller.test/',
      'x-internal': 'secret',
    }
    for (const stream of [true, false]) {
      const { headers } = await ask({ stream }, own)
      const names = Object.keys(headers).filter((name) => !/^(x-spillway-|x-ratelimit-)/.test(name))
      expect(names.sort()).toEqual(
        [
          'connection',
          'content-type',
          'date',
          'openai-processing-ms',
          'x-request-id',
          ...(stream ? ['cache-control', 'transfer-encoding', 'x-accel-buffering'] : ['content-length']),
        ].sort(),
      )
      expect(headers['x-ratelimit-limit-requests']).toBeUndefined()
    }
    for (const { headers } of chats()) {
      expect(Object.keys(headers).sort()).toEqual([
        'accept',
        'accept-encoding',
        'authorization',
        'connection',
        'content-length',
        'content-type',
        'host',
        'user-agent',
        'x-request-id',
      ])
      expect(headers['authorization']).toBe('Bearer vendor-secret')
      expect(JSON.stringify(headers)).not.toMatch(/acme|203\.0\.113|caller|session|secret-/)
    }
  })
})

describe('a caller who leaves', shared, () => {
  beforeAll(() => start(), 30_000)
  afterAll(stop)
  beforeEach(() => {
    gb.seen.length = 0
    no.seen.length = 0
  })

  test.each<[string, boolean, (exchange: ScriptedExchange) => void]>([
    ['before the head of a stream', true, () => {}],
    ['before the head of a whole answer', false, () => {}],
    ['in mid-stream', true, ({ response }) => response.writeHead(200, streamHead).write(word('a'))],
    ['inside a whole answer', false, ({ response }) => response.writeHead(200, jsonHead).write('{"id":')],
  ])('%s is seen by the vendor within a second, and is settled', async (_when, stream, script) => {
    bothDo(script)
    const client = leaving({ stream })
    await until(() => chats().length === 1, 'the vendor is asked')
    await pause(100)
    client.leave()
    const leftMs = performance.now()
    await until(() => chats()[0]?.ended === 'client-left', 'the vendor sees it')
    expect(performance.now() - leftMs).toBeLessThan(1_000)
    expect(chats()).toHaveLength(1)
    const rows = await exportedRows(gateway)
    expect(rows.get(idOf(chats()[0] as SeenRequest))).toMatchObject({
      state: 'cancelled',
      status: 499,
      estimated: true,
    })
  })

  test('at any moment at all leaves no vendor at work for nobody', async () => {
    bothDo(({ seen, response }) => {
      if (!askedOf(seen).stream) return
      response.writeHead(200, streamHead)
      const timer = setInterval(() => response.write(word('w ')), 20)
      response.on('close', () => clearInterval(timer))
    })
    // From leaving at once to leaving when the vendor has long been asked, however fast this machine is.
    let longestMs = 2
    for (let round = 0; chats().length < 50; round++) {
      expect(round).toBeLessThan(20)
      await load(60, 12, async (index) => {
        const client = leaving({ stream: index % 3 !== 0, max_tokens: 100_000 })
        await pause((index / 60) * longestMs)
        client.leave()
      })
      longestMs *= 2
    }
    await until(() => chats().every(({ ended }) => ended === 'client-left'), 'every vendor has been told')
    const rows = await exportedRows(gateway)
    for (const seen of chats()) expect(rows.get(idOf(seen))).toMatchObject({ state: 'cancelled', status: 499 })
  })
})

describe('a full plane', () => {
  afterEach(stop)

  test(
    'a caller who leaves while waiting for a free slot costs no vendor anything, and the slot goes to the next',
    alone,
    async () => {
      await start({ concurrencyMax: 1 })
      const held: (() => void)[] = []
      const script = ({ response }: ScriptedExchange) => {
        held.push(() => response.writeHead(200, jsonHead).end(answerOf('ok')))
      }
      bothDo(script)
      const first = [ask({}), ask({})]
      await until(() => held.length === 2, 'both places are busy')
      const waiting = leaving({ max_tokens: 77 })
      await pause(200)
      const next = ask({ max_tokens: 78 })
      await pause(100)
      waiting.leave()
      await pause(100)
      for (const answer of held.splice(0)) answer()
      await until(() => held.length === 1, 'the next has its place')
      for (const answer of held.splice(0)) answer()
      for (const { status } of await Promise.all([...first, next])) expect(status).toBe(200)
      expect(chats().map((seen) => askedOf(seen).max_tokens)).not.toContain(77)
      const states = [...(await exportedRows(gateway)).values()].map(({ state }) => state)
      expect(states.sort()).toEqual(['ok', 'ok', 'ok', 'refused'])
    },
  )
})
