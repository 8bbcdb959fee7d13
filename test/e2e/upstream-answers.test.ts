import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ScriptedExchange, SeenRequest } from './fake-vendor.ts'
import { pause, until } from './gateway-process.ts'
import { exportedRows } from './ledger-rows.ts'
import { answerOf, askedOf, event, idOf, jsonHead, load, streamHead, TwoVendors, word } from './two-vendors.ts'

let plane: TwoVendors

const shared = { timeout: 30_000 }

describe('what a caller gets', shared, () => {
  beforeAll(async () => {
    plane = await TwoVendors.start()
  }, 30_000)
  afterAll(() => plane.stop())
  beforeEach(() => plane.forget())

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
    plane.bothDo(script)
    const plain = await plane.ask({ stream: true })
    expect(plain.body.equals(Buffer.from(parts.filter((part) => part !== hidden).join('')))).toBe(true)
    const withUsage = await plane.ask({ stream: true, stream_options: { include_usage: true } })
    expect(withUsage.body.equals(bytes)).toBe(true)
    const rows = await exportedRows(plane.gateway)
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
    plane.bothDo(script)
    const delaysMs: number[] = []
    for (let round = 0; round < 5; round++) {
      const askedMs = performance.now()
      const { firstMs } = await plane.ask({ stream: true })
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
    plane.bothDo(script)
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
      const { headers } = await plane.ask({ stream }, own)
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
    for (const { headers } of plane.chats) {
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
  beforeAll(async () => {
    plane = await TwoVendors.start()
  }, 30_000)
  afterAll(() => plane.stop())
  beforeEach(() => plane.forget())

  test.each<[string, boolean, (exchange: ScriptedExchange) => void]>([
    ['before the head of a stream', true, () => {}],
    ['before the head of a whole answer', false, () => {}],
    ['in mid-stream', true, ({ response }) => response.writeHead(200, streamHead).write(word('a'))],
    ['inside a whole answer', false, ({ response }) => response.writeHead(200, jsonHead).write('{"id":')],
  ])('%s is seen by the vendor within a second, and is settled', async (_when, stream, script) => {
    plane.bothDo(script)
    const client = plane.leaving({ stream })
    await until(() => plane.chats.length === 1)
    await pause(100)
    client.leave()
    const leftMs = performance.now()
    await until(() => plane.chats[0]?.ended === 'client-left')
    expect(performance.now() - leftMs).toBeLessThan(1_000)
    expect(plane.chats).toHaveLength(1)
    const rows = await exportedRows(plane.gateway)
    expect(rows.get(idOf(plane.chats[0] as SeenRequest))).toMatchObject({
      state: 'cancelled',
      status: 499,
      estimated: true,
    })
  })

  test('at any moment at all leaves no vendor at work for nobody', async () => {
    plane.bothDo(({ seen, response }) => {
      if (!askedOf(seen).stream) return
      response.writeHead(200, streamHead)
      const timer = setInterval(() => response.write(word('w ')), 20)
      response.on('close', () => clearInterval(timer))
    })
    // From leaving at once to leaving when the vendor has long been asked, however fast this machine is.
    let longestMs = 2
    for (let round = 0; plane.chats.length < 50; round++) {
      expect(round).toBeLessThan(20)
      await load(60, 12, async (index) => {
        const client = plane.leaving({ stream: index % 3 !== 0, max_tokens: 100_000 })
        await pause((index / 60) * longestMs)
        client.leave()
      })
      longestMs *= 2
    }
    await until(() => plane.chats.every(({ ended }) => ended === 'client-left'))
    const rows = await exportedRows(plane.gateway)
    for (const seen of plane.chats) expect(rows.get(idOf(seen))).toMatchObject({ state: 'cancelled', status: 499 })
  })
})

describe('a full plane', () => {
  afterEach(() => plane.stop())

  test('a caller who leaves while waiting for a free slot costs no vendor anything, and the slot goes to the next', {
    timeout: 60_000,
  }, async () => {
    plane = await TwoVendors.start({ concurrencyMax: 1 })
    const held: (() => void)[] = []
    const script = ({ response }: ScriptedExchange) => {
      held.push(() => response.writeHead(200, jsonHead).end(answerOf('ok')))
    }
    plane.bothDo(script)
    const first = [plane.ask({}), plane.ask({})]
    await until(() => held.length === 2)
    const waiting = plane.leaving({ max_tokens: 77 })
    await pause(200)
    const next = plane.ask({ max_tokens: 78 })
    await pause(100)
    waiting.leave()
    await pause(100)
    for (const answer of held.splice(0)) answer()
    await until(() => held.length === 1)
    for (const answer of held.splice(0)) answer()
    for (const { status } of await Promise.all([...first, next])) expect(status).toBe(200)
    expect(plane.chats.map((seen) => askedOf(seen).max_tokens)).not.toContain(77)
    const states = [...(await exportedRows(plane.gateway)).values()].map(({ state }) => state)
    expect(states.sort()).toEqual(['ok', 'ok', 'ok', 'refused'])
  })
})
