import { describe, expect, test } from 'vitest'
import { StreamReader } from './stream-reader.ts'

const usage = '"usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}'
const role = 'data: {"choices":[{"delta":{"role":"assistant","content":""}}],"usage":null}\n\n'
const word = (text: string) => `data: {"choices":[{"delta":{"content":${JSON.stringify(text)}}}],"usage":null}\n\n`
const error = 'data: {"error":{"message":"the vendor broke off","type":"server_error","param":null,"code":"cut"}}\n\n'
const done = 'data: [DONE]\n\n'
const whole = `${role}${word('hä ')}: ping\n\n${word('"usage":')}data: {"choices":[],${usage}}\n\n${done}`

function read(...pieces: (string | Buffer)[]) {
  const reader = new StreamReader()
  pieces.forEach((piece, index) => {
    reader.push(Buffer.from(piece), index)
  })
  return reader.seen
}

describe('a streamed answer, as its client reads it', () => {
  const expected = {
    contentEvents: 2,
    errorEvents: 0,
    error: null,
    endsInError: false,
    done: true,
    usage: { promptTokens: 9, cachedTokens: 4, completionTokens: 2 },
  }

  test('counts what holds content, and neither the role nor the usage', () => {
    expect(read(whole)).toMatchObject(expected)
  })

  test.each([
    ['LF', whole],
    ['CRLF', whole.replaceAll('\n', '\r\n')],
  ])('is the same however its bytes are cut, with %s', (_ends, text) => {
    const bytes = Buffer.from(text)
    for (let at = 1; at < bytes.length; at++)
      expect(read(bytes.subarray(0, at), bytes.subarray(at)), `cut at ${at}`).toMatchObject(expected)
    expect(read(...Array.from(bytes, (byte) => Buffer.from([byte])))).toMatchObject(expected)
  })

  test('has its first token when the first event with content is whole', () => {
    const first = word('a')
    expect(read(role, first.slice(0, 20), first.slice(20), word('b')).firstContentMs).toBe(2)
  })

  test('is a simulation where it begins by saying so', () => {
    expect(read(word('Simulation: '), word('x')).simulated).toBe(true)
    expect(read(word('x'), word('Simulation: ')).simulated).toBe(false)
  })

  test.each([
    ['reasoning', 'data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}\n\n'],
    ['arguments of a tool', 'data: {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{"}}]}}]}\n\n'],
    ['content written with blanks', 'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'],
  ])('counts %s as content', (_what, text) => {
    expect(read(text).contentEvents).toBe(1)
  })

  test('that was cut ends in its error', () => {
    expect(read(role, word('a'), error)).toMatchObject({
      errorEvents: 1,
      error: { code: 'cut', message: 'the vendor broke off' },
      endsInError: true,
      done: false,
    })
    expect(read(role, `event: error\n${error}`)).toMatchObject({ errorEvents: 1, endsInError: true })
  })

  test('does not end in an error that something follows', () => {
    expect(read(error, word('a')).endsInError).toBe(false)
    expect(read(error, done)).toMatchObject({ endsInError: false, done: true })
    expect(read(error, ': ping\n\n').endsInError).toBe(true)
  })

  test('counts every error, and keeps the first', () => {
    const second = error.replace('"cut"', '"other"')
    expect(read(error, second)).toMatchObject({ errorEvents: 2, error: { code: 'cut' } })
  })
})
