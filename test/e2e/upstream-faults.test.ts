import { existsSync, readFileSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import type { ScriptedExchange, SeenRequest } from './fake-vendor.ts'
import { pause, until } from './gateway-process.ts'
import { exportedRows } from './ledger-rows.ts'
import { streamChat } from './stream-chat.ts'
import {
  type Asked,
  answerOf,
  askedOf,
  event,
  idOf,
  jsonHead,
  limitMs,
  load,
  orProbe,
  streamHead,
  TwoVendors,
  word,
} from './two-vendors.ts'

let plane: TwoVendors

/** Each with a gateway of its own: what one learned of its vendors is not for the next. */
const alone = { timeout: 120_000 }

describe('a stream that breaks', alone, () => {
  afterEach(() => plane.stop())

  test('of a thousand, none is taken for whole, none is tried again once content was delivered, all are settled', async () => {
    plane = await TwoVendors.start()
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
    plane.bothDo(breaks)
    const streams = await load(1_000, 24, (index) => streamChat(plane.gateway.port, { maxTokens: index + 1 }))
    expect(streams.filter(({ whole }) => whole)).toEqual([])
    const rows = await exportedRows(plane.gateway)
    const triesOf = new Map<string, SeenRequest[]>()
    for (const seen of plane.chats) triesOf.set(idOf(seen), [...(triesOf.get(idOf(seen)) ?? []), seen])
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
    expect(plane.chats.length).toBeLessThanOrEqual(1.2 * streams.length + 3)
  })

  test('by falling silent ends in an error event within a second of its limit', async () => {
    plane = await TwoVendors.start()
    const stalls = ({ response }: ScriptedExchange) => response.writeHead(200, streamHead).write(word('a'))
    plane.bothDo(stalls)
    const { status, body, firstMs, endMs, id } = await plane.ask({ stream: true })
    expect(status).toBe(200)
    expect(body.toString()).toContain('upstream_stream_cut')
    expect(body.toString()).not.toContain('[DONE]')
    expect(endMs - firstMs).toBeGreaterThan(limitMs - 100)
    expect(endMs - firstMs).toBeLessThan(limitMs + 1_000)
    await until(() => plane.chats.every(({ ended }) => ended === 'client-left'))
    expect(plane.chats).toHaveLength(1)
    expect((await exportedRows(plane.gateway)).get(id)).toMatchObject({
      state: 'partial',
      estimated: true,
      outputTokens: 1,
    })
  })
})

describe('a vendor that breaks HTTP', alone, () => {
  afterEach(() => plane.stop())

  test('never has the answer to one request taken for that to another', async () => {
    plane = await TwoVendors.start()
    const rude = ({ seen, socket }: ScriptedExchange) => {
      const body = answerOf(askedOf(seen).messages[0]?.content ?? '')
      const surplus = answerOf(`left over from ${idOf(seen)}`)
      const raw = (text: string) =>
        `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`
      const turn = plane.gb.seen.length % 12
      if (turn === 0) return socket.write(raw(body) + raw(surplus))
      if (turn === 1) return socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n${body}`)
      socket.write(raw(body))
      return setTimeout(() => socket.write(raw(surplus)), turn)
    }
    plane.bothDo(rude)
    const mine = (index: number) => plane.ask({ messages: [{ role: 'user', content: `mine is ${index}` }] })
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
      } else expect(Object.keys(JSON.parse(text).error).sort()).toEqual(['code', 'message', 'param', 'reason', 'type'])
    }
    expect(good).toBeGreaterThan(1_800)
    const rows = await exportedRows(plane.gateway)
    for (const { id, status } of answers) expect(rows.get(id)).toMatchObject({ status, estimated: false })
  })

  test('that closes its connections at any moment between requests fails none of them', async () => {
    plane = await TwoVendors.start()
    const hasty = ({ seen, response, socket }: ScriptedExchange) => {
      response
        .writeHead(200, jsonHead)
        .end(answerOf('ok'), () => setTimeout(() => socket.destroy(), 18 + (seen.connection % 8)))
    }
    plane.bothDo(hasty)
    const answers = await load(400, 4, async (index) => {
      await pause(15 + (index % 12))
      return plane.ask({})
    })
    expect(answers.map(({ status }) => status)).toEqual(Array(400).fill(200))
    expect(plane.gateway.said).not.toContain('ejected')
  })
})

describe('a vendor', alone, () => {
  afterEach(() => plane.stop())

  test('that is silent is given up within a second of the limit, and one other is tried', async () => {
    plane = await TwoVendors.start()
    plane.bothDo(() => {})
    for (const stream of [true, false]) {
      plane.gb.seen.length = 0
      plane.no.seen.length = 0
      const { status, body, endMs, id, headers } = await plane.ask({ stream })
      expect(status).toBe(504)
      expect(JSON.parse(body.toString())).toMatchObject({ error: { code: 'upstream_timeout' } })
      expect(headers['x-spillway-attempts']).toBe('2')
      expect(endMs).toBeGreaterThan(2 * limitMs - 100)
      expect(endMs).toBeLessThan(2 * (limitMs + 1_000))
      await until(() => plane.chats.every(({ ended }) => ended === 'client-left'))
      expect([plane.gb.chats.length, plane.no.chats.length]).toEqual([1, 1])
      expect((await exportedRows(plane.gateway)).get(id)).toMatchObject({ state: 'failed', status: 504, attempts: 2 })
    }
  })

  test('that has too much to do is left alone as long as it asks, and its share goes elsewhere', async () => {
    plane = await TwoVendors.start()
    const retryAfterMs = 600
    /** What was on its way when the vendor said so comes in soon after. */
    const onTheWayMs = 250
    let heldFromMs = Number.NEGATIVE_INFINITY
    const early: number[] = []
    let refused = 0
    let served = 0
    plane.gb.behaviour = {
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
    const answers: Asked[] = []
    // Until it has said so a few times, whatever its share is.
    while (answers.length < 1_000 || refused < 3) {
      const round = await load(250, 4, async (index) => {
        await pause(8)
        // Each of its own: those that begin alike go where the first one was answered.
        return plane.ask({ messages: [{ role: 'user', content: `${answers.length + index} is a question` }] })
      })
      answers.push(...round)
    }
    expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(0.995 * answers.length)
    expect(early).toEqual([])
  })

  test('that resets every connection costs nobody an answer, and is left alone', async () => {
    plane = await TwoVendors.start()
    plane.gb.behaviour = { script: orProbe(({ socket }) => socket.resetAndDestroy()) }
    const streams = await load(400, 16, () => streamChat(plane.gateway.port, { maxTokens: 3 }))
    expect(streams.filter(({ whole }) => whole).length).toBeGreaterThanOrEqual(398)
    // Five in a row, and those that were on their way.
    expect(plane.gb.chats.length).toBeLessThanOrEqual(5 + 16)
    const rows = await exportedRows(plane.gateway)
    for (const { id } of streams) expect(rows.get(id as string)).toMatchObject({ state: 'ok', outputTokens: 3 })
  })
})

describe('a vendor that sends without end', alone, () => {
  afterEach(() => plane.stop())

  const processes = '/proc'
  test.skipIf(!existsSync(processes))('costs no more memory than one answer may have (read from /proc)', async () => {
    plane = await TwoVendors.start()
    const residentBytes = () =>
      1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`${processes}/${plane.gateway.pid}/status`, 'utf8'))?.[1])
    plane.bothDo(({ response }) => response.writeHead(200, jsonHead).end(answerOf('ok')))
    await load(200, 4, () => plane.ask({}))
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
    try {
      for (const [stream, script] of ways) {
        plane.bothDo(script)
        const { body } = await plane.ask({ stream })
        // A busy machine may not come to the limit of size before that of time.
        expect(JSON.parse(body.toString()).error.code).toMatch(/^upstream_(invalid_answer|timeout)$/)
      }
    } finally {
      clearInterval(watch)
    }
    // The answer itself, and what a busy process takes anyway.
    expect(peakBytes - beforeBytes).toBeLessThan((32 + 24) * 1024 * 1024)
  })
})
