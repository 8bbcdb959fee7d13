import { describe, expect, test } from 'vitest'
import type { ScriptedExchange } from '../../../../test/e2e/fake-vendor.ts'
import {
  answers,
  bytesOf,
  done,
  inPieces,
  jsonHead,
  limits,
  ok,
  raw,
  rawJson,
  type Setting,
  streams,
  whole,
  word,
} from './setting.contract.ts'

/** What is an answer and what is none, where it comes as one piece of JSON. */
export function wholeAnswersContract(setting: Setting): void {
  describe('a whole answer', () => {
    test('comes byte for byte, with its usage', async () => {
      const answer = await setting.asked(answers(200, { ...jsonHead, 'x-ms-region': 'West Europe' }, whole), {
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
      const answer = await setting.asked(answers(200, headers, whole), { stream: false })
      expect(answer.head?.headers).toEqual([])
    })

    test('without usage is counted', async () => {
      const bare = JSON.stringify({ choices: [{ message: { content: 'one two three' } }] })
      const answer = await setting.asked(answers(200, jsonHead, bare), { stream: false })
      expect(answer.ending).toEqual({ kind: 'whole', progress: { outputTokensCounted: 3, usage: undefined } })
    })

    test.each([
      ['in single bytes', bytesOf(whole)],
      ['in two pieces', [whole.slice(0, 31), whole.slice(31)]],
    ])('is put together %s', async (_how, pieces) => {
      const answer = await setting.asked(inPieces(jsonHead, pieces), { stream: false })
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
      const answer = await setting.asked(script, { stream: false })
      expect(answer.ending).toMatchObject({ kind: 'failed', failure: { kind } })
      expect(answer.pieces).toBe(0)
      expect(setting.vendor.seen).toHaveLength(1)
    })

    test('comes after hints that are sent ahead of it', async () => {
      const answer = await setting.asked(
        raw(`HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${rawJson(14, '{"choices":[]}')}`, true),
        {
          stream: false,
        },
      )
      expect(answer.ending).toMatchObject({ kind: 'whole' })
    })
  })
}
