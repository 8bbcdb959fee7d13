import { describe, expect, test } from 'vitest'
import { until } from '../../../../test/e2e/gateway-process.ts'
import { answers, clock, done, jsonHead, type Setting, streams, word } from './setting.contract.ts'

/** What a vendor is sent, and what its refusals mean. */
export function requestsContract(setting: Setting, proof: { readonly header: string; readonly value: RegExp }): void {
  describe('what the vendor is sent', () => {
    test('the body byte for byte, and no header beyond what it needs', async () => {
      const body = [Buffer.from('{"model":"m","seed":9007199254740993,'), Buffer.from('"stream":true,"x":"\\u00e9"}')]
      await setting.asked(streams(word('a'), done), { body })
      const seen = setting.vendor.seen[0]
      expect(seen?.body).toBe(Buffer.concat(body).toString())
      const { host, connection, 'content-length': length, [proof.header]: shown, ...others } = seen?.headers ?? {}
      const rest: Record<string, unknown> = { ...others }
      expect(host).toBe(`127.0.0.1:${setting.vendor.port}`)
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
      expect(await setting.provider.probe(1_000)).toMatchObject({ reachable: true })
      expect(setting.vendor.seen.map(({ body }) => body)).toEqual([''])
      setting.vendor.behaviour = { script: answers(401, jsonHead, '{}') }
      expect(await setting.provider.probe(1_000)).toMatchObject({
        reachable: false,
        problem: expect.stringContaining('credentials'),
      })
      setting.vendor.behaviour = { script: () => {} }
      expect(await setting.provider.probe(100)).toMatchObject({
        reachable: false,
        problem: expect.stringContaining('100 ms'),
      })
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
        const answer = await setting.asked(answers(status, jsonHead, '{"error":{"message":"x"}}'), { stream })
        expect(answer.ending).toMatchObject({ kind: 'failed', failure: { kind, status } })
      }
    })

    test.each<[string, Record<string, string>, number]>([
      ['milliseconds', { 'retry-after-ms': '1500', 'retry-after': '9' }, 1_500],
      ['seconds', { 'retry-after': '7' }, 7_000],
      ['a date', { 'retry-after': new Date(clock.wallMs() + 60_000).toUTCString() }, 60_000],
      ['a date gone by', { 'retry-after': new Date(clock.wallMs() - 60_000).toUTCString() }, 0],
      ['a week', { 'retry-after': '604800' }, 3_600_000],
    ])('a Retry-After in %s is understood', async (_how, headers, expectedMs) => {
      for (const status of [429, 503]) {
        const answer = await setting.asked(answers(status, { ...jsonHead, ...headers }, '{}'))
        expect(answer.ending).toMatchObject({ failure: { status, retryAfterMs: expectedMs } })
      }
    })

    test('a Retry-After that says nothing is left out', async () => {
      const answer = await setting.asked(answers(429, { ...jsonHead, 'retry-after': 'soon' }, '{}'))
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
      const answer = await setting.asked(answers(status, jsonHead, body))
      expect(answer.ending).toMatchObject({ kind: 'refused', status })
      const error = JSON.parse((answer.ending as { body: Buffer }).body.toString()).error
      expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type'])
      expect(error).toMatchObject({ type: 'invalid_request_error', param: null, code: null, ...expected })
    })

    test("that is the operator's trouble is told to the operator, the same once a minute", async () => {
      const problems: string[] = []
      const other = await setting.open({}, (problem) => problems.push(problem))
      for (const status of [401, 401, 404, 402, 401, 503, 404])
        await setting.asked(answers(status, jsonHead, '{}'), { upstreamModel: 'big' }, other)
      expect(problems).toEqual([
        `${setting.vendor.origin} does not take the credentials (status 401); check the key and what it may do`,
        `${setting.vendor.origin} has no chat/completions of big (status 404); check upstreamModel`,
        `${setting.vendor.origin} wants to be paid (status 402); look at the account there`,
      ])
      await other.close()
    })

    test('a failure whose body never comes is told at once, and its connection closes soon', async () => {
      const answer = await setting.asked(({ response }) =>
        response.writeHead(503, { 'content-length': '9' }).flushHeaders(),
      )
      expect(answer.ending).toMatchObject({ failure: { kind: 'overloaded' } })
      await until(() => setting.vendor.seen[0]?.ended === 'client-left')
    })
  })
}
