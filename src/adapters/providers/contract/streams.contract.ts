import { describe, expect, test } from 'vitest'
import type { ScriptedExchange } from '../../../../test/e2e/fake-vendor.ts'
import { until } from '../../../../test/e2e/gateway-process.ts'
import {
  answers,
  bytesOf,
  chunk,
  done,
  event,
  jsonHead,
  limits,
  type Setting,
  streamHead,
  streams,
  usage,
  usageEvent,
  whole,
  word,
} from './setting.contract.ts'

/** What passes of a stream, how it is metered, and how it may end. */
export function streamsContract(setting: Setting): void {
  describe('a stream', () => {
    const plain = [chunk({ role: 'assistant', content: '' }), word('Grüße'), word(' 👋\n'), chunk({}, {}), done]

    test('comes byte for byte, each event as soon as it is there', async () => {
      let release = () => {}
      setting.vendor.behaviour = {
        script: ({ response }) => {
          response.writeHead(200, streamHead).write(plain[0])
          release = () => response.end(plain.slice(1).join(''))
        },
      }
      const answer = setting.ask()
      await until(() => answer.pieces === 1)
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
      const answer = await setting.asked(streams(...(how.includes('1 MiB') ? [text] : bytesOf(text))))
      expect(answer.ending).toMatchObject({ kind: 'whole' })
      expect(answer.bytes.equals(Buffer.from(text))).toBe(true)
    })

    test('ends at its first [DONE]; what follows is not handed on', async () => {
      const answer = await setting.asked(streams(word('a') + done + word('b') + done))
      expect(answer.text).toBe(word('a') + done)
    })

    test('may end with a [DONE] that no blank line follows', async () => {
      const answer = await setting.asked(streams(word('a'), 'data: [DONE]'))
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
      const answer = await setting.asked(script)
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
      const answer = await setting.asked(script)
      expect(answer.ending).toMatchObject({ kind: 'failed', failure: { kind } })
      expect(answer.head).toBeUndefined()
    })

    test('that begins with a refusal of the request is a refusal', async () => {
      const answer = await setting.asked(streams(event({ error: { message: 'too long', code: 400 } })))
      expect(answer.ending).toMatchObject({ kind: 'refused', status: 400 })
    })

    test('hides the usage that only we asked for, in an event of its own', async () => {
      const events = [word('a'), word('b'), chunk({}, { usage: null }), usageEvent, done]
      const hidden = await setting.asked(streams(events.join('')), { hideUsage: true })
      expect(hidden.text).toBe(events.filter((one) => one !== usageEvent).join(''))
      const shown = await setting.asked(streams(events.join('')))
      expect(shown.text).toBe(events.join(''))
      for (const { ending } of [hidden, shown])
        expect(ending).toMatchObject({ progress: { usage: { input: 12, cachedInput: 4, output: 2 } } })
    })

    test('keeps usage that stands in an event with content', async () => {
      const events = [word('a'), chunk({ content: 'b' }, { usage }), done]
      const answer = await setting.asked(streams(events.join('')), { hideUsage: true })
      expect(answer.text).toBe(events.join(''))
      expect(answer.ending).toMatchObject({ progress: { usage: { output: 2 } } })
    })

    test('is counted where usage came before the last content, or was said by the way when it broke', async () => {
      const early = await setting.asked(streams(chunk({ content: 'a' }, { usage }), word('b'), word('c'), done))
      expect(early.ending).toEqual({ kind: 'whole', progress: { outputTokensCounted: 3, usage: undefined } })
      const cut = await setting.asked(streams(word('a'), chunk({ content: 'b' }, { usage }), word('c').slice(0, 9)))
      expect(cut.ending).toMatchObject({ kind: 'failed', progress: { outputTokensCounted: 2, usage: undefined } })
    })

    test('that breaks after its usage is settled by that', async () => {
      const answer = await setting.asked(streams(word('a'), word('b'), usageEvent))
      expect(answer.ending).toMatchObject({ kind: 'failed', progress: { usage: { output: 2 } } })
    })

    test('of a vendor that bundles tokens is counted by what it said of earlier ones', async () => {
      await setting.withLimits({}, async (other) => {
        const bundle = word('internationalization')
        const said = event({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 9, total_tokens: 10 } })
        await setting.asked(streams(bundle, bundle, bundle, said, done), {}, other)
        const cut = await setting.asked(streams(bundle, bundle), {}, other)
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
      const answer = await setting.asked(streams(first + word('a') + done))
      expect(answer.text).toBe(word('a') + done)
    })
  })
}
