import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SpillwayError } from '../core/spillway-error.ts'
import { bodyFor, inputTokensMax, readBody } from './request-body.ts'

const chat = (text: string) => readBody(Buffer.from(text), 'chat/completions')
const upstream = (text: string, model = 'gpt-oss-120b') => Buffer.concat(bodyFor(chat(text), model)).toString()
const messages = '"messages":[{"role":"user","content":"hi"}]'

function problem(text: string): SpillwayError {
  try {
    chat(text)
  } catch (error) {
    if (error instanceof SpillwayError) return error
    throw error
  }
  throw new Error('was taken')
}

describe('the body for a vendor', () => {
  test('has only the name of the model replaced, in place', () => {
    const body = `{ "temperature": 0.70, "model" : "chat-large",\n ${messages}, "seed": 9007199254740993, "x": 1e400 }`
    expect(upstream(body)).toBe(body.replace('chat-large', 'gpt-oss-120b'))
  })

  test('asks a stream for its usage where the caller did not', () => {
    expect(upstream(`{"model":"m",${messages},"stream":true}`, 'u')).toBe(
      `{"model":"u",${messages},"stream":true,"stream_options":{"include_usage":true}}`,
    )
    expect(
      upstream(`{"stream":true,"stream_options":{"include_obfuscation":false},${messages},"model":"m"}`, 'u'),
    ).toBe(
      `{"stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true},${messages},"model":"u"}`,
    )
  })

  test('leaves a stream alone that asks for its usage itself', () => {
    const body = `{"model":"m",${messages},"stream":true,"stream_options":{"include_usage":true}}`
    expect(chat(body).includesUsage).toBe(true)
    expect(upstream(body, 'm')).toBe(body)
  })

  test('stays valid JSON with the same values for any order of members', () => {
    const rest = fc.shuffledSubarray([
      '"a":[1,{"b":null}]',
      '"stream":true',
      '"stream_options":{}',
      '"tools":[]',
      '"é":"ü"',
    ])
    fc.assert(
      fc.property(rest, fc.nat(5), fc.string({ minLength: 1 }), (members, place, model) => {
        const all = [...members]
        all.splice(place % (all.length + 1), 0, `"model":${JSON.stringify(model)}`, messages)
        const before = JSON.parse(`{${all.join(',')}}`)
        const after = JSON.parse(upstream(`{${all.join(',')}}`, 'other'))
        const usage = before.stream === true ? { stream_options: { include_usage: true } } : {}
        expect(after).toEqual({ ...before, model: 'other', ...usage })
      }),
    )
  })
})

describe('reading a body', () => {
  test.each([
    ['', 'invalid_json'],
    ['[]', 'invalid_json'],
    ['{"model":"m"', 'invalid_json'],
    [`{"model":"m","model":"n",${messages}}`, 'invalid_json'],
    [`{${messages}}`, 'invalid_request'],
    [`{"model":7,${messages}}`, 'invalid_request'],
    ['{"model":"m"}', 'invalid_request'],
    ['{"model":"m","messages":[]}', 'invalid_request'],
    [`{"model":"m",${messages},"stream":"yes"}`, 'invalid_request'],
    [`{"model":"m",${messages},"max_tokens":-1}`, 'invalid_request'],
    [`{"model":"m",${messages},"stream_options":3}`, 'invalid_request'],
  ])('%s is refused as %s', (text, code) => {
    expect(problem(text).code).toBe(code)
  })

  test('a name that would reach into the prototype is just a name', () => {
    expect(chat(`{"__proto__":{"stream":true},"model":"m",${messages}}`).stream).toBe(false)
  })

  test('ill-formed UTF-8 is refused', () => {
    const body = Buffer.from(`{"model":"m",${messages}}`)
    body[body.indexOf('hi')] = 0xff
    expect(() => readBody(body, 'chat/completions')).toThrow('UTF-8')
  })

  test('null stands for absent', () => {
    const facts = chat(`{"model":"m",${messages},"stream":null,"max_tokens":null,"n":null}`)
    expect(facts).toMatchObject({ stream: false, outputTokensMax: undefined, choices: 1 })
  })

  test('requests that begin alike share their affinity, others do not', () => {
    const first = chat(`{"model":"m",${messages}}`)
    expect(chat(`{"temperature":1,"model":"m",${messages}}`).affinity).toBe(first.affinity)
    expect(chat('{"model":"m","messages":[{"role":"user","content":"ho"}]}').affinity).not.toBe(first.affinity)
  })

  test('the input bound is never below one token a byte', () => {
    fc.assert(fc.property(fc.nat(100_000), fc.nat(50), (bytes, parts) => inputTokensMax(bytes, parts) >= bytes))
    expect(
      chat(`{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"u"}}]}]}`)
        .inputTokensMax,
    ).toBeGreaterThan(36_835)
  })
})
