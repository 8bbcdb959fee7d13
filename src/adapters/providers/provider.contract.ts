import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { FakeVendor, type ScriptedExchange } from '../../../test/e2e/fake-vendor.ts'
import type { Clock } from '../../core/clock.ts'
import type { Provider } from './provider.ts'
import { chatCall, RecordedAnswer, until } from './testing.ts'

export interface ContractLimits {
  readonly connectMs: number
  readonly firstByteMs: number
  readonly streamIdleMs: number
  readonly answerBytesMax: number
}

const wallMs = 1_800_000_000_000
/** For the providers under test: the wall clock stands still. */
export const clock: Clock = { nowMs: () => performance.now(), wallMs: () => wallMs }

export const limits: ContractLimits = {
  connectMs: 1_000,
  firstByteMs: 2_000,
  streamIdleMs: 2_000,
  answerBytesMax: 4 * 1024 * 1024,
}

const event = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`
const chunk = (delta: object, more: object = {}) =>
  event({ id: 'chatcmpl-1', object: 'chat.completion.chunk', choices: [{ index: 0, delta }], ...more })
const word = (content: string) => chunk({ content })
const usage = { prompt_tokens: 12, completion_tokens: 2, total_tokens: 14, prompt_tokens_details: { cached_tokens: 4 } }
const usageEvent = event({ id: 'chatcmpl-1', object: 'chat.completion.chunk', choices: [], usage })
const done = 'data: [DONE]\n\n'
const whole = JSON.stringify({
  id: 'chatcmpl-1',
  big: '@',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Grüße 👋' }, finish_reason: 'stop' }],
  usage,
}).replace('"@"', '9007199254740993')
const jsonHead = { 'content-type': 'application/json' }
const streamHead = { 'content-type': 'text/event-stream; charset=utf-8' }

/** Sends a body in pieces, each in an HTTP chunk of its own, so that each is handed on by itself. */
const inPieces =
  (headers: Record<string, string>, pieces: readonly (string | Buffer)[]) =>
  async ({ response }: ScriptedExchange) => {
    response.writeHead(200, headers).flushHeaders()
    for (const piece of pieces) {
      response.write(piece)
      // Within one turn of the event loop Node would make one chunk of them.
      await new Promise(setImmediate)
    }
    response.end()
  }
const streams = (...pieces: (string | Buffer)[]) => inPieces(streamHead, pieces)
const bytesOf = (text: string) => [...Buffer.from(text)].map((byte) => Buffer.from([byte]))
const answers =
  (status: number, headers: Record<string, string>, body: string | Buffer) =>
  ({ response }: ScriptedExchange) => {
    response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) })
    response.end(body)
  }
/** Bytes as they are; `close` ends the connection after them. */
const raw =
  (bytes: string | Buffer, close = false) =>
  ({ socket }: ScriptedExchange) => {
    socket.write(bytes)
    if (close) socket.end()
  }
const rawJson = (length: number, body: string, more = '') =>
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n${more}\r\n${body}`
const ok = `HTTP/1.1 200 OK\r\n`

/**
 * What every provider must keep, whatever vendor it speaks to. `open` makes one that speaks to the vendor at `origin`;
 * `proof` is the header that shows who is asking.
 */
export function providerContract(
  name: string,
  open: (origin: string, limits: ContractLimits, onProblem?: (problem: string) => void) => Promise<Provider>,
  proof: { readonly header: string; readonly value: RegExp },
): void {
  describe(name, () => {
    let vendor: FakeVendor
    let provider: Provider
    const recorded: RecordedAnswer[] = []

    beforeAll(async () => {
      vendor = await FakeVendor.start()
      provider = await open(vendor.origin, limits)
    })
    afterAll(async () => {
      await provider.close()
      await vendor.down()
    })
    beforeEach(() => {
      vendor.behaviour = {}
      vendor.seen.length = 0
      recorded.length = 0
    })
    afterEach(() => {
      for (const answer of recorded) expect(answer.violations).toEqual([])
    })

    const ask = (options: Parameters<typeof chatCall>[0] = {}, goOn?: () => boolean, of = provider) => {
      const answer = new RecordedAnswer(of, chatCall(options), goOn)
      recorded.push(answer)
      return answer
    }
    const asked = async (
      script: (exchange: ScriptedExchange) => void,
      options: Parameters<typeof chatCall>[0] = {},
      of = provider,
    ) => {
      vendor.behaviour = { script }
      const answer = ask(options, undefined, of)
      await answer.ended
      return answer
    }
    const withLimits = async (changed: Partial<ContractLimits>, use: (other: Provider) => Promise<void>) => {
      const other = await open(vendor.origin, { ...limits, ...changed })
      try {
        await use(other)
      } finally {
        await other.close()
      }
    }

    describe('what the vendor is sent', () => {
      test('the body byte for byte, and no header beyond what it needs', async () => {
        const body = [Buffer.from('{"model":"m","seed":9007199254740993,'), Buffer.from('"stream":true,"x":"\\u00e9"}')]
        await asked(streams(word('a'), done), { body })
        const seen = vendor.seen[0]
        expect(seen?.body).toBe(Buffer.concat(body).toString())
        const { host, connection, 'content-length': length, [proof.header]: shown, ...others } = seen?.headers ?? {}
        const rest: Record<string, unknown> = { ...others }
        expect(host).toBe(`127.0.0.1:${vendor.port}`)
        expect(connection).toBe('keep-alive')
        expect(length).toBe(String(Buffer.concat(body).length))
        expect(shown).toMatch(proof.value)
        const signature = Object.keys(rest).filter((header) => header.startsWith('x-amz-'))
        for (const header of signature) delete rest[header]
        expect(rest).toEqual({
          accept: 'text/event-stream',
          'accept-encoding': 'identity',
          'content-type': 'application/json',
          'user-agent': 'spillway',
          'x-request-id': 'req_test',
        })
      })

      test('a probe asks for nothing that costs tokens, and says what is wrong', async () => {
        expect(await provider.probe(1_000)).toMatchObject({ reachable: true })
        expect(vendor.seen.map(({ body }) => body)).toEqual([''])
        vendor.behaviour = { script: answers(401, jsonHead, '{}') }
        expect(await provider.probe(1_000)).toMatchObject({
          reachable: false,
          problem: expect.stringContaining('credentials'),
        })
        vendor.behaviour = { script: () => {} }
        expect(await provider.probe(100)).toMatchObject({
          reachable: false,
          problem: expect.stringContaining('100 ms'),
        })
      })
    })

    describe('a whole answer', () => {
      test('comes byte for byte, with its usage', async () => {
        const answer = await asked(answers(200, { ...jsonHead, 'x-ms-region': 'West Europe' }, whole), {
          stream: false,
        })
        expect(answer.text).toBe(whole)
        expect(answer.head).toEqual({
          status: 200,
          contentType: 'application/json',
          headers: [['x-ms-region', 'West Europe']],
        })
        expect(answer.ending).toEqual({
          kind: 'whole',
          progress: { outputTokensCounted: 0, usage: { input: 12, cachedInput: 4, output: 2 } },
        })
      })

      test('passes no cookie, no CORS word and nothing of our account', async () => {
        const headers = {
          ...jsonHead,
          'set-cookie': 'a=b',
          'access-control-allow-origin': '*',
          'openai-organization': 'ours',
          'x-ratelimit-remaining-tokens': '7',
          server: 'x',
        }
        const answer = await asked(answers(200, headers, whole), { stream: false })
        expect(answer.head?.headers).toEqual([])
      })

      test('without usage is counted', async () => {
        const bare = JSON.stringify({ choices: [{ message: { content: 'one two three' } }] })
        const answer = await asked(answers(200, jsonHead, bare), { stream: false })
        expect(answer.ending).toEqual({ kind: 'whole', progress: { outputTokensCounted: 3, usage: undefined } })
      })

      test.each([
        ['in single bytes', bytesOf(whole)],
        ['in two pieces', [whole.slice(0, 31), whole.slice(31)]],
      ])('is put together %s', async (_how, pieces) => {
        const answer = await asked(inPieces(jsonHead, pieces), { stream: false })
        expect(answer.text).toBe(whole)
      })

      const large = JSON.stringify({ choices: [], pad: 'x'.repeat(limits.answerBytesMax) })
      test.each<[string, (exchange: ScriptedExchange) => void, string]>([
        ['invalid JSON', answers(200, jsonHead, '{"choices":[}'), 'broken'],
        ['JSON that is no object', answers(200, jsonHead, '[]'), 'broken'],
        ['JSON that is no answer', answers(200, jsonHead, '{"hello":"world"}'), 'broken'],
        [
          'text that is not UTF-8',
          answers(200, jsonHead, Buffer.from('7b2263686f69636573223a22ff227d', 'hex')),
          'broken',
        ],
        ['nothing', answers(200, jsonHead, ''), 'broken'],
        ['HTML', answers(200, { 'content-type': 'text/html' }, '<html></html>'), 'broken'],
        ['a stream', streams(word('a'), done), 'broken'],
        ['no content type', answers(200, {}, whole), 'broken'],
        ['a compressed body', answers(200, { ...jsonHead, 'content-encoding': 'gzip' }, whole), 'broken'],
        ['a redirect', answers(307, { location: '/elsewhere' }, ''), 'broken'],
        [
          'another protocol',
          raw(`HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n`),
          'broken',
        ],
        ['a head of 256 KiB', raw(`${ok}x: ${'a'.repeat(262_144)}\r\n\r\n`), 'broken'],
        ['a head that breaks off', raw('HTTP/1.1 200 O', true), 'broken'],
        ['no HTTP', raw('SSH-2.0-OpenSSH_9.6\r\n'), 'broken'],
        ['less than its length', raw(rawJson(whole.length + 99, whole), true), 'reset'],
        ['more than its length', raw(rawJson(12, `{"choices":1}garbage`)), 'broken'],
        ['surplus bytes', raw(rawJson(14, '{"choices":[]}garbage')), 'broken'],
        ['a second answer', raw(rawJson(14, '{"choices":[]}') + rawJson(14, '{"choices":[]}')), 'broken'],
        ['two lengths', raw(rawJson(14, '{"choices":[]}', 'content-length: 15\r\n')), 'broken'],
        [
          'a length and chunks',
          raw(rawJson(14, 'e\r\n{"choices":[]}\r\n0\r\n\r\n', 'transfer-encoding: chunked\r\n')),
          'broken',
        ],
        [
          'corrupt chunks',
          raw(`${ok}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}`),
          'broken',
        ],
        [
          'chunks that break off',
          raw(`${ok}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}`, true),
          'reset',
        ],
        ['a connection reset', ({ socket }) => socket.resetAndDestroy(), 'reset'],
        ['a declared length that is too large', answers(200, jsonHead, large), 'broken'],
        ['chunks that come to too much', ({ response }) => response.writeHead(200, jsonHead).end(large), 'broken'],
        ['an error under status 200', answers(200, jsonHead, '{"error":{"message":"no"}}'), 'server-error'],
        ['a rate limit under status 200', answers(200, jsonHead, '{"error":{"code":429}}'), 'rate-limited'],
      ])('that is %s fails', async (_what, script, kind) => {
        const answer = await asked(script, { stream: false })
        expect(answer.ending).toMatchObject({ kind: 'failed', failure: { kind } })
        expect(answer.pieces).toBe(0)
        expect(vendor.seen).toHaveLength(1)
      })

      test('comes after hints that are sent ahead of it', async () => {
        const answer = await asked(
          raw(`HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${rawJson(14, '{"choices":[]}')}`, true),
          {
            stream: false,
          },
        )
        expect(answer.ending).toMatchObject({ kind: 'whole' })
      })
    })

    describe('a stream', () => {
      const plain = [chunk({ role: 'assistant', content: '' }), word('Grüße'), word(' 👋\n'), chunk({}, {}), done]

      test('comes byte for byte, each event as soon as it is there', async () => {
        let release = () => {}
        vendor.behaviour = {
          script: ({ response }) => {
            response.writeHead(200, streamHead).write(plain[0])
            release = () => response.end(plain.slice(1).join(''))
          },
        }
        const answer = ask()
        await until(() => answer.pieces === 1, 'the first event is handed on')
        expect(answer.text).toBe(plain[0])
        release()
        expect(await answer.ended).toMatchObject({ kind: 'whole', progress: { outputTokensCounted: 2 } })
        expect(answer.text).toBe(plain.join(''))
      })

      test.each([
        ['in single bytes', plain.join('')],
        ['with CRLF', plain.join('').replaceAll('\n', '\r\n')],
        ['with comments', `: hello\n\n${plain.slice(0, 2).join(': ping\n\n')}: ping\n\n${plain.slice(2).join('')}`],
        ['with other fields', plain.join('').replaceAll('data: {', 'id: 1\nretry: 5\ndata: {')],
        ['with events of several lines', `data: {"choices":[{"delta":\ndata: {"content":"a"}}]}\n\n${done}`],
        ['without blanks after the colon', plain.join('').replaceAll('data: ', 'data:')],
        ['with an event of 1 MiB', word('x'.repeat(1024 * 1024)) + done],
      ])('comes byte for byte %s', async (how, text) => {
        const answer = await asked(streams(...(how.includes('1 MiB') ? [text] : bytesOf(text))))
        expect(answer.ending).toMatchObject({ kind: 'whole' })
        expect(answer.bytes.equals(Buffer.from(text))).toBe(true)
      })

      test('ends at its first [DONE]; what follows is not handed on', async () => {
        const answer = await asked(streams(word('a') + done + word('b') + done))
        expect(answer.text).toBe(word('a') + done)
      })

      test('may end with a [DONE] that no blank line follows', async () => {
        const answer = await asked(streams(word('a'), 'data: [DONE]'))
        expect(answer.ending).toMatchObject({ kind: 'whole' })
        expect(answer.text).toBe(word('a') + done)
      })

      test.each<[string, (exchange: ScriptedExchange) => void, string]>([
        ['ends without [DONE]', streams(word('a'), word('b')), 'reset'],
        ['ends inside an event', streams(word('a'), word('b'), word('c').slice(0, -9)), 'reset'],
        [
          'is cut by its connection',
          ({ response, socket }) =>
            response.writeHead(200, streamHead).write(word('a') + word('b'), () => socket.resetAndDestroy()),
          'reset',
        ],
        [
          'has a corrupt chunk',
          ({ response, socket }) => {
            response.writeHead(200, streamHead).write(word('a') + word('b'), () => socket.write('zz\r\n'))
          },
          'broken',
        ],
        [
          'has an error in it',
          streams(word('a'), word('b'), event({ error: { message: 'boom' } }), done),
          'server-error',
        ],
        [
          'has an error event in it',
          streams(word('a'), word('b'), 'event: error\ndata: {"message":"boom"}\n\n'),
          'server-error',
        ],
        ['has a refusal in it', streams(word('a'), word('b'), event({ error: { code: 400 } })), 'server-error'],
        [
          'has an event without end',
          streams(word('a'), word('b'), `data: ${'x'.repeat(limits.answerBytesMax)}`),
          'broken',
        ],
      ])('that %s is handed on up to there and fails', async (_what, script, kind) => {
        const answer = await asked(script)
        expect(answer.ending).toMatchObject({ kind: 'failed', failure: { kind }, progress: { outputTokensCounted: 2 } })
        expect(answer.text).toBe(word('a') + word('b'))
      })

      test.each<[string, (exchange: ScriptedExchange) => void, string]>([
        ['has no event', streams(), 'reset'],
        ['has nothing but comments', streams(': a\n\n', ': b\n\n'), 'reset'],
        ['has comments without end', streams(`: ${'x'.repeat(100_000)}\n\n`, word('a'), done), 'broken'],
        ['is JSON', answers(200, jsonHead, whole), 'broken'],
        ['is compressed', answers(200, { ...streamHead, 'content-encoding': 'br' }, word('a') + done), 'broken'],
        ['begins with an error', streams(event({ error: { message: 'boom', type: 'server_error' } })), 'server-error'],
        ['begins with a rate limit', streams(event({ error: { code: 'rate_limit_exceeded' } })), 'rate-limited'],
        ['begins with an error event', streams('event: error\ndata: {"error":{"code":"503"}}\n\n'), 'overloaded'],
        [
          'begins with an error of an older engine',
          streams('data: {"object": "error", "code": 500}\n\n'),
          'server-error',
        ],
      ])('that %s fails before anything is handed on', async (_what, script, kind) => {
        const answer = await asked(script)
        expect(answer.ending).toMatchObject({ kind: 'failed', failure: { kind } })
        expect(answer.head).toBeUndefined()
      })

      test('that begins with a refusal of the request is a refusal', async () => {
        const answer = await asked(streams(event({ error: { message: 'too long', code: 400 } })))
        expect(answer.ending).toMatchObject({ kind: 'refused', status: 400 })
      })

      test('hides the usage that only we asked for, in an event of its own', async () => {
        const events = [word('a'), word('b'), chunk({}, { usage: null }), usageEvent, done]
        const hidden = await asked(streams(events.join('')), { hideUsage: true })
        expect(hidden.text).toBe(events.filter((one) => one !== usageEvent).join(''))
        const shown = await asked(streams(events.join('')))
        expect(shown.text).toBe(events.join(''))
        for (const { ending } of [hidden, shown])
          expect(ending).toMatchObject({ progress: { usage: { input: 12, cachedInput: 4, output: 2 } } })
      })

      test('keeps usage that stands in an event with content', async () => {
        const events = [word('a'), chunk({ content: 'b' }, { usage }), done]
        const answer = await asked(streams(events.join('')), { hideUsage: true })
        expect(answer.text).toBe(events.join(''))
        expect(answer.ending).toMatchObject({ progress: { usage: { output: 2 } } })
      })

      test('is counted where usage came before the last content, or was said by the way when it broke', async () => {
        const early = await asked(streams(chunk({ content: 'a' }, { usage }), word('b'), word('c'), done))
        expect(early.ending).toEqual({ kind: 'whole', progress: { outputTokensCounted: 3, usage: undefined } })
        const cut = await asked(streams(word('a'), chunk({ content: 'b' }, { usage }), word('c').slice(0, 9)))
        expect(cut.ending).toMatchObject({ kind: 'failed', progress: { outputTokensCounted: 2, usage: undefined } })
      })

      test('that breaks after its usage is settled by that', async () => {
        const answer = await asked(streams(word('a'), word('b'), usageEvent))
        expect(answer.ending).toMatchObject({ kind: 'failed', progress: { usage: { output: 2 } } })
      })

      test('of a vendor that bundles tokens is counted by what it said of earlier ones', async () => {
        await withLimits({}, async (other) => {
          const bundle = word('internationalization')
          const said = event({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 9, total_tokens: 10 } })
          await asked(streams(bundle, bundle, bundle, said, done), {}, other)
          const cut = await asked(streams(bundle, bundle), {}, other)
          expect(cut.ending).toMatchObject({ kind: 'failed', progress: { outputTokensCounted: 6 } })
        })
      })

      test("loses Azure's first event, which only tells of the prompt", async () => {
        const first = event({
          choices: [],
          created: 0,
          id: '',
          model: '',
          prompt_filter_results: [{ prompt_index: 0 }],
        })
        const answer = await asked(streams(first + word('a') + done))
        expect(answer.text).toBe(word('a') + done)
      })
    })

    describe('a status that is no answer', () => {
      test.each<[number, string]>([
        [401, 'unauthorized'],
        [402, 'unauthorized'],
        [403, 'unauthorized'],
        [404, 'missing-model'],
        [408, 'timed-out'],
        [424, 'server-error'],
        [429, 'rate-limited'],
        [500, 'server-error'],
        [502, 'server-error'],
        [503, 'overloaded'],
        [504, 'server-error'],
        [529, 'overloaded'],
        [302, 'broken'],
      ])('%i is %s', async (status, kind) => {
        for (const stream of [true, false]) {
          const answer = await asked(answers(status, jsonHead, '{"error":{"message":"x"}}'), { stream })
          expect(answer.ending).toMatchObject({ kind: 'failed', failure: { kind, status } })
        }
      })

      test.each<[string, Record<string, string>, number]>([
        ['milliseconds', { 'retry-after-ms': '1500', 'retry-after': '9' }, 1_500],
        ['seconds', { 'retry-after': '7' }, 7_000],
        ['a date', { 'retry-after': new Date(wallMs + 60_000).toUTCString() }, 60_000],
        ['a date gone by', { 'retry-after': new Date(wallMs - 60_000).toUTCString() }, 0],
        ['a week', { 'retry-after': '604800' }, 3_600_000],
      ])('a Retry-After in %s is understood', async (_how, headers, expectedMs) => {
        for (const status of [429, 503]) {
          const answer = await asked(answers(status, { ...jsonHead, ...headers }, '{}'))
          expect(answer.ending).toMatchObject({ failure: { status, retryAfterMs: expectedMs } })
        }
      })

      test('a Retry-After that says nothing is left out', async () => {
        const answer = await asked(answers(429, { ...jsonHead, 'retry-after': 'soon' }, '{}'))
        expect(answer.ending).toMatchObject({ failure: { kind: 'rate-limited', status: 429 } })
        expect(answer.ending).not.toHaveProperty('failure.retryAfterMs')
      })

      test.each<[string, number, string, object]>([
        [
          "OpenAI's",
          400,
          '{"error":{"message":"m","type":"t","param":"p","code":"c"}}',
          { message: 'm', type: 't', param: 'p', code: 'c' },
        ],
        [
          "Azure's",
          400,
          '{"error":{"code":"content_filter","message":"m","innererror":{}}}',
          { message: 'm', code: 'content_filter' },
        ],
        [
          "Google's",
          400,
          '[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]',
          { message: 'm', code: 'INVALID_ARGUMENT' },
        ],
        ["AWS's", 400, '{"message":"m"}', { message: 'm' }],
        ["an engine's", 422, '{"detail":[{"loc":["body"],"msg":"m"}]}', { message: '[{"loc":["body"],"msg":"m"}]' }],
        ['no', 413, '<html>', { message: 'the vendor refused the request with status 413' }],
      ])('%s refusal is put into the envelope, with all four keys', async (_whose, status, body, expected) => {
        const answer = await asked(answers(status, jsonHead, body))
        expect(answer.ending).toMatchObject({ kind: 'refused', status })
        const error = JSON.parse((answer.ending as { body: Buffer }).body.toString()).error
        expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type'])
        expect(error).toMatchObject({ type: 'invalid_request_error', param: null, code: null, ...expected })
      })

      test("that is the operator's trouble is told to the operator, the same once a minute", async () => {
        const problems: string[] = []
        const other = await open(vendor.origin, limits, (problem) => problems.push(problem))
        for (const status of [401, 401, 404, 402, 401, 503, 404])
          await asked(answers(status, jsonHead, '{}'), { upstreamModel: 'big' }, other)
        expect(problems).toEqual([
          `${vendor.origin} does not take the credentials (status 401); check the key and what it may do`,
          `${vendor.origin} has no chat/completions of big (status 404); check upstreamModel`,
          `${vendor.origin} wants to be paid (status 402); look at the account there`,
        ])
        await other.close()
      })

      test('a failure whose body never comes is told at once, and its connection closes soon', async () => {
        const answer = await asked(({ response }) => response.writeHead(503, { 'content-length': '9' }).flushHeaders())
        expect(answer.ending).toMatchObject({ failure: { kind: 'overloaded' } })
        await until(() => vendor.seen[0]?.ended === 'client-left', 'the connection is given up')
      })
    })

    describe('silence', () => {
      const beforeFirst = { firstByteMs: 160 }
      test.each<[string, boolean, (exchange: ScriptedExchange) => void]>([
        ['a stream without a head', true, () => {}],
        ['a whole answer without a head', false, () => {}],
        [
          'a stream with a head and no event',
          true,
          ({ response }) => response.writeHead(200, streamHead).flushHeaders(),
        ],
        [
          'a stream with nothing but comments',
          true,
          ({ response }) => {
            response.writeHead(200, streamHead)
            const timer = setInterval(() => response.write(': ping\n\n'), 20)
            response.on('close', () => clearInterval(timer))
          },
        ],
      ])('%s times out, and the connection closes', async (_what, stream, script) => {
        await withLimits(beforeFirst, async (other) => {
          const startedMs = performance.now()
          const answer = await asked(script, { stream }, other)
          const tookMs = performance.now() - startedMs
          expect(answer.ending).toMatchObject({ kind: 'failed', failure: { kind: 'timed-out' } })
          expect(tookMs).toBeGreaterThan(159)
          expect(tookMs).toBeLessThan(1_160)
          await until(() => vendor.seen[0]?.ended === 'client-left', 'the vendor sees the connection close')
        })
      })

      test.each<[string, boolean, (exchange: ScriptedExchange) => void]>([
        ['a stream', true, ({ response }) => response.writeHead(200, streamHead).write(word('a') + word('b'))],
        ['a whole answer', false, ({ response }) => response.writeHead(200, jsonHead).write('{"choices":')],
      ])('%s that stops in its midst times out', async (_what, stream, script) => {
        await withLimits({ streamIdleMs: 160 }, async (other) => {
          const answer = await asked(script, { stream }, other)
          expect(answer.ending).toMatchObject({ kind: 'failed', failure: { kind: 'timed-out' } })
          await until(() => vendor.seen[0]?.ended === 'client-left', 'the vendor sees the connection close')
        })
      })

      test('a slow stream that keeps coming does not time out', async () => {
        await withLimits({ firstByteMs: 300, streamIdleMs: 300 }, async (other) => {
          const answer = await asked(
            ({ response }) => {
              response.writeHead(200, streamHead)
              let left = 8
              const timer = setInterval(() => {
                if (left-- > 0) response.write(word('a'))
                else response.end(done)
              }, 100)
              response.on('close', () => clearInterval(timer))
            },
            {},
            other,
          )
          expect(answer.ending).toMatchObject({ kind: 'whole' })
        })
      })

      test('nobody there is unreachable', async () => {
        const gone = await FakeVendor.start()
        const nobody = await open(gone.origin, limits)
        await gone.down()
        const answer = ask({}, undefined, nobody)
        expect(await answer.ended).toMatchObject({ failure: { kind: 'unreachable' } })
        expect(await nobody.probe(1_000)).toMatchObject({ reachable: false })
        await nobody.close()
      })
    })

    describe('a caller who leaves', () => {
      test.each<[string, boolean, (exchange: ScriptedExchange) => void]>([
        ['before the head of a stream', true, () => {}],
        ['before the head of a whole answer', false, () => {}],
        ['before the first event', true, ({ response }) => response.writeHead(200, streamHead).flushHeaders()],
        ['in mid-stream', true, ({ response }) => response.writeHead(200, streamHead).write(word('a'))],
        ['inside a whole answer', false, ({ response }) => response.writeHead(200, jsonHead).write('{"choices":')],
      ])('%s closes the connection at once', async (_when, stream, script) => {
        vendor.behaviour = { script }
        const answer = ask({ stream })
        await until(() => vendor.seen.length === 1, 'the vendor is asked')
        await new Promise((resolve) => setTimeout(resolve, 20))
        answer.abort()
        answer.abort()
        const leftMs = performance.now()
        await until(() => vendor.seen[0]?.ended === 'client-left', 'the vendor sees it')
        expect(performance.now() - leftMs).toBeLessThan(1_000)
      })

      test('before there is a connection sends nothing', async () => {
        const answer = ask()
        answer.abort()
        await asked(streams(word('a'), done), { requestId: 'req_next' })
        expect(vendor.seen.map(({ headers }) => headers['x-request-id'])).toEqual(['req_next'])
      })

      test('from inside a callback hears nothing more', async () => {
        vendor.behaviour = {
          script: ({ response }) => {
            response.writeHead(200, streamHead).write(word('a'))
            setTimeout(() => response.end(word('b') + done), 10)
          },
        }
        const answer: RecordedAnswer = ask({}, () => {
          answer.abort()
          return true
        })
        await until(() => answer.pieces === 1, 'the first piece is there')
        await new Promise((resolve) => setTimeout(resolve, 30))
        expect(answer.text).toBe(word('a'))
        expect(answer.ending).toBeUndefined()
      })
    })

    test('a caller who does not take more stops the reading, and goes on where it stopped', async () => {
      const megabytes = 24
      const text = word('x'.repeat(64 * 1024))
      const count = megabytes * 16
      let sentBytes = 0
      vendor.behaviour = {
        script: ({ response }) => {
          response.writeHead(200, streamHead)
          const more = () => {
            while (sentBytes < count * text.length) {
              sentBytes += text.length
              if (!response.write(text)) return response.once('drain', more)
            }
            return response.end(done)
          }
          more()
        },
      }
      let taking = false
      await withLimits({ streamIdleMs: 160 }, async (other) => {
        const answer = ask({}, () => taking, other)
        await until(() => answer.pieces === 1, 'the first piece is there')
        // Longer than a stream may be silent: it is not the vendor who is.
        await new Promise((resolve) => setTimeout(resolve, 400))
        expect(answer.pieces).toBe(1)
        expect(sentBytes).toBeLessThan((megabytes * 1024 * 1024) / 2)
        taking = true
        answer.exchange.resume()
        expect(await answer.ended).toMatchObject({ kind: 'whole' })
        expect(answer.bytes.length).toBe(count * text.length + done.length)
      })
    })

    describe('kept connections', () => {
      /** Of its own: what a vendor did in another test is not held against it. */
      let keeping: Provider
      beforeEach(async () => {
        keeping = await open(vendor.origin, limits)
      })
      afterEach(() => keeping.close())
      const rest = () => new Promise((resolve) => setTimeout(resolve, 40))
      const connections = () => new Set(vendor.seen.map(({ connection }) => connection)).size

      test('carry one answer after the other', async () => {
        const rounds = 8
        for (let round = 0; round < rounds; round++) {
          await asked(round % 2 === 0 ? streams(word('a'), done) : answers(429, jsonHead, '{}'), {}, keeping)
          await rest()
        }
        // One, but for those that had not rested when the next request came.
        expect(connections()).toBeLessThan(rounds)
      })

      test('never carry what the vendor sent beyond one answer into the next, however late it came', async () => {
        vendor.behaviour = {
          script: ({ seen, socket }) => {
            const id = String(seen.headers['x-request-id'])
            const body = JSON.stringify({ choices: [], id })
            socket.write(rawJson(body.length, body))
            const surplus = JSON.stringify({ choices: [], id: `after ${id}` })
            setTimeout(() => socket.write(rawJson(surplus.length, surplus)), vendor.seen.length % 10)
          },
        }
        for (let round = 1; round <= 30; round++) {
          const answer = ask({ stream: false, requestId: `req_${round}` }, undefined, keeping)
          const { kind } = await answer.ended
          // Where both came at once, the first one is not believed either.
          expect(answer.text).toBe(kind === 'whole' ? JSON.stringify({ choices: [], id: `req_${round}` }) : '')
        }
      })

      test.each<[string, number]>([
        ['at once', 0],
        ['later', 5],
      ])('are not made with a vendor that was caught sending too much %s', async (_when, afterMs) => {
        const one = rawJson(14, '{"choices":[]}')
        await asked(
          ({ socket }) => {
            if (afterMs === 0) socket.write(one + one)
            else socket.write(one, () => setTimeout(() => socket.write(one), afterMs))
          },
          { stream: false },
          keeping,
        )
        await rest()
        for (let round = 0; round < 4; round++) {
          await asked(streams(word('a'), done), {}, keeping)
          await rest()
        }
        expect(connections()).toBe(vendor.seen.length)
      })

      test('that the vendor closed while they were idle cost a request nothing', async () => {
        vendor.behaviour = {
          script: ({ response, socket }) => {
            const afterMs = 15 + 10 * vendor.seen.length
            response.writeHead(200, streamHead).end(done, () => setTimeout(() => socket.destroy(), afterMs))
          },
        }
        for (let round = 0; round < 5; round++) {
          const ending = await ask({}, undefined, keeping).ended
          // Closed in the very moment of being used, it says so.
          expect(ending).toMatchObject(ending.kind === 'whole' ? {} : { failure: { kind: 'reset', stale: true } })
          await rest()
        }
      })

      test('that the vendor closes as they are used again are told from a vendor that breaks', async () => {
        for (let reused = false; !reused; ) {
          await asked(streams(word('a'), done), {}, keeping)
          await rest()
          const answer = await asked(({ socket }) => socket.resetAndDestroy(), {}, keeping)
          const [first, second] = vendor.seen.splice(0)
          reused = first?.connection === second?.connection
          expect(answer.ending).toMatchObject({ failure: { kind: 'reset', ...(reused && { stale: true }) } })
        }
        const fresh = await asked(({ socket }) => socket.resetAndDestroy(), {}, keeping)
        expect(fresh.ending).not.toHaveProperty('failure.stale')
      })
    })

    test('closing lets what is under way end, and takes nothing new', async () => {
      const closing = await open(vendor.origin, limits)
      let release = () => {}
      vendor.behaviour = {
        script: ({ response }) => {
          response.writeHead(200, streamHead).write(word('a'))
          release = () => response.end(done)
        },
      }
      const answer = ask({}, undefined, closing)
      await until(() => answer.pieces === 1, 'it is under way')
      const closed = closing.close()
      const late = ask({}, undefined, closing)
      expect(await late.ended).toMatchObject({ failure: { kind: 'withdrawn' } })
      release()
      expect(await answer.ended).toMatchObject({ kind: 'whole' })
      await closed
      expect(vendor.seen).toHaveLength(1)
    })
  })
}
