import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Operation } from '../adapters/providers/provider.ts'
import type { ServiceTier } from '../core/service-class.ts'
import { SpillwayError } from '../core/spillway-error.ts'
import { type BodyCut, bodyFor, cutBody, inputTokensMax, readBody, readQuestion } from './request-body.ts'

const chat = (text: string) => readBody(Buffer.from(text), 'chat/completions')
const upstream = (text: string, model = 'gpt-oss-120b', tier: ServiceTier = 'default') =>
  Buffer.concat(bodyFor(chat(text), model, tier)).toString()
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

  test.each([
    ['"priority"', 'priority', 'priority', '"priority"'],
    ['"priority"', 'priority', 'default', '"default"'],
    ['"flex"', 'flex', 'flex', '"flex"'],
    ['"batch"', 'batch', 'batch', '"default"'],
    ['"auto"', 'default', 'default', '"auto"'],
    ['"on_demand"', 'default', 'default', '"on_demand"'],
    ['null', 'default', 'default', 'null'],
    ['["flex"]', 'default', 'default', '["flex"]'],
  ] as const)('of the tier %s, which asks for %s, says where %s is granted %s', (asked, tier, granted, said) => {
    const body = (text: string) => `{"service_tier": ${text}, "model":"m",${messages}}`
    expect(chat(body(asked)).tier).toBe(tier)
    expect(upstream(body(asked), 'm', granted)).toBe(body(said))
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

  test.each([
    ['{}', '{"include_usage":true}'],
    ['{ }', '{ "include_usage":true}'],
    ['null', '{"include_usage":true}'],
    ['{"include_usage":false}', '{"include_usage":true}'],
    ['{"include_usage": null, "x": 1e400}', '{"include_usage": true, "x": 1e400}'],
    ['{"x":9007199254740993}', '{"x":9007199254740993,"include_usage":true}'],
    ['{"__proto__":{"include_usage":true}}', '{"__proto__":{"include_usage":true},"include_usage":true}'],
    ['{"include\\u005fusage":false}', '{"include\\u005fusage":true}'],
  ])('of the stream options %s it makes %s', (options, wanted) => {
    const body = (text: string) => `{"model":"m","stream":true,"stream_options":${text},${messages}}`
    expect(upstream(body(options), 'm')).toBe(body(wanted))
  })

  test('differs in not a byte more, whatever else stands in it and however it is written', () => {
    const space = fc.constantFrom('', ' ', '\n', '\t  ')
    // Those that are read have to be well-formed.
    const read = ['model', 'messages', 'stream', 'stream_options', 'n']
    const key = fc.string({ unit: 'grapheme', maxLength: 8 }).filter((text) => !read.includes(text))
    const value = fc.oneof(
      fc.json(),
      fc.constantFrom('-0', '1e400', '9007199254740993', '0.1000', '"\\ud800"', '"\\u0041"', '{"model":"m"}'),
    )
    const rest = fc.uniqueArray(fc.tuple(key, value), { maxLength: 6, selector: ([name]) => name })
    const modelKey = fc.constantFrom('"model"', '"\\u006dodel"', '"mo\\u0064el"')
    fc.assert(
      fc.property(rest, modelKey, fc.nat(), fc.boolean(), space, (others, spelled, place, stream, gap) => {
        const members = others.map(([name, text]) => `${JSON.stringify(name)}${gap}:${gap}${text}`)
        const written = (model: string, end: string) => {
          const all = [...members, messages, `"stream":${stream}`]
          all.splice(place % (all.length + 1), 0, `${spelled}:${gap}${JSON.stringify(model)}`)
          return `${gap}{${gap}${all.join(`${gap},${gap}`)}${gap}${end}}${gap}`
        }
        const wish = stream ? ',"stream_options":{"include_usage":true}' : ''
        expect(upstream(written('asked "for"', ''), 'sent\u2028')).toBe(written('sent\u2028', wish))
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
    [`{"model":"m",${messages},"max_tokens":"5"}`, 'invalid_request'],
    [`{"model":"m",${messages},"max_tokens":1.5}`, 'invalid_request'],
    [`{"model":"m",${messages},"max_tokens":${'1'.repeat(40)}}`, 'invalid_request'],
    [`{"model":"m",${messages},"stream_options":3}`, 'invalid_request'],
    [`{"model":"m",${messages},"stream_options":{"include_usage":"yes"}}`, 'invalid_request'],
    [`{"model":"m",${messages},"stream_options":{"include_usage":true,"include_usage":false}}`, 'invalid_request'],
    [`{"model":"m","\\u006dodel":"n",${messages}}`, 'invalid_json'],
    [`{"model":"${'m'.repeat(2_000)}",${messages}}`, 'invalid_request'],
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

  test.each([
    ['{"max_tokens":5}', 5],
    ['{"max_completion_tokens":6}', 6],
    ['{"max_tokens":5,"max_completion_tokens":6}', 6],
    ['{"max_tokens":7,"max_completion_tokens":6}', 7],
    ['{"max_tokens":1e2,"max_completion_tokens":null}', 100],
    ['{}', undefined],
  ])('%s bounds an answer to %s tokens, whichever of the two a vendor obeys', (limits, tokens) => {
    expect(chat(`{"model":"m",${messages},${limits.slice(1)}`.replace(',}', '}')).outputTokensMax).toBe(tokens)
  })

  test.each([
    ['"a"', '', 1],
    ['"a"', ',"n":3', 3],
    ['"a"', ',"n":2,"best_of":5', 5],
    ['["a","b"]', ',"n":3', 6],
    ['[[1,2],[3]]', '', 2],
    ['[ 1, 2, 3 ]', '', 1],
    ['[ "a" ]', ',"best_of":4', 4],
  ])('the completions of %s%s are %i', (prompt, more, choices) => {
    const facts = readBody(Buffer.from(`{"model":"m","prompt":${prompt}${more}}`), 'completions')
    expect(facts.choices).toBe(choices)
  })

  test('completions are not bounded by a field that they do not have', () => {
    const body = '{"model":"m","prompt":"a","max_completion_tokens":1}'
    expect(readBody(Buffer.from(body), 'completions').outputTokensMax).toBeUndefined()
  })

  test('embeddings have no output', () => {
    expect(readBody(Buffer.from('{"model":"m","input":["a"],"stream":7}'), 'embeddings')).toMatchObject({
      stream: false,
      outputTokensMax: 0,
    })
  })

  test('a question is a whole request or only the name of a model', () => {
    expect(readQuestion(Buffer.from('{"model":"m"}'))).toEqual({ model: 'm', affinity: undefined })
    expect(readQuestion(Buffer.from(`{"model":"m",${messages}}`)).affinity).toBe(
      chat(`{"model":"m",${messages}}`).affinity,
    )
  })

  test('the same cache key is the same affinity, whatever the prompt', () => {
    const keyed = (key: string, text: string) =>
      chat(`{"model":"m","prompt_cache_key":"${key}","messages":[{"content":"${text}"}]}`).affinity
    expect(keyed('a', 'x')).toBe(keyed('a', 'y'))
    expect(keyed('a', 'x')).not.toBe(keyed('b', 'x'))
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

describe('a hostile body is cheap', () => {
  const long = (piece: string, bytes = 8 * 1024 * 1024) => piece.repeat(bytes / piece.length)
  const many = (count: number, member: (index: number) => string) => Array.from({ length: count }, (_, i) => member(i))
  test.each([
    ['one long text', () => `"a":"${long('x')}"`],
    ['one long text in escapes', () => `"a":"${long('\\u00e9')}"`],
    ['white space', () => `${long(' ')}"a":0`],
    ['10,000 names', () => many(9_990, (i) => `"${i}":0`).join(',')],
    ['names that begin alike', () => many(9_990, (i) => `"${'k'.repeat(800)}${i}":0`).join(',')],
    ['inner names in escapes', () => `"a":{${many(9_990, (i) => `"${'\\u0061'.repeat(130)}${i}":0`).join(',')}}`],
    ['one long name', () => `"${long('k')}":0`],
    ['a long cache key', () => `"prompt_cache_key":"${long('k')}"`],
    ['a long number', () => `"max_tokens":${long('1')}`],
    ['a deep nest', () => `"a":${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}`],
    ['small nests', () => `"a":[${many(100, () => `[${long('[0],', 80_000)}0]`).join(',')}]`],
    ['20,000 messages', () => `"a":[${long('{},', 60_000)}{}]`],
    ['long stream options', () => `"stream":true,"stream_options":{"a":"${long('x')}"}`],
  ])('%s', (_what, members) => {
    const body = Buffer.from(`{"model":"m",${messages},${members()}}`)
    const before = process.cpuUsage()
    try {
      readBody(body, 'chat/completions')
    } catch (error) {
      expect(error).toBeInstanceOf(SpillwayError)
    }
    // Some ten milliseconds each; what looks at a byte more than a few times takes seconds.
    expect(process.cpuUsage(before).user / 1_000).toBeLessThan(1_000)
  })

  test('so is a long name of a model', () => {
    expect(problem(`{"model":"${long('m')}",${messages}}`).code).toBe('invalid_request')
  })
})

describe('a request that is cut down', () => {
  const cut = (text: string, setting: Partial<BodyCut>, operation: Operation = 'chat/completions') => {
    const facts = readBody(Buffer.from(text), operation)
    const result = cutBody(facts, operation, {
      model: facts.model,
      outputTokensMax: undefined,
      without: [],
      ...setting,
    })
    return { text: result.facts.body.toString(), words: result.words, facts: result.facts }
  }
  test('asks another model for no more tokens, and keeps every other byte', () => {
    const { text, words, facts } = cut(`{ "model":"large", "x":1e400,  ${messages},"max_tokens":4000 }`, {
      model: 'small',
      outputTokensMax: 500,
    })
    expect(text).toBe(`{ "model":"small", "x":1e400,  ${messages},"max_tokens":500 }`)
    expect(words).toEqual([
      ['model', 'small'],
      ['output-tokens-max', '500'],
    ])
    expect(facts).toMatchObject({ model: 'small', outputTokensMax: 500 })
  })

  test('gets a limit where it has none, by the name its operation knows', () => {
    expect(cut(`{"model":"m",${messages}}`, { outputTokensMax: 5 }).text).toBe(
      `{"model":"m",${messages},"max_completion_tokens":5}`,
    )
    expect(cut(`{"model":"m","max_completion_tokens":null,${messages}}`, { outputTokensMax: 5 }).text).toBe(
      `{"model":"m","max_completion_tokens":5,${messages}}`,
    )
    expect(cut('{"model":"m","prompt":"a"}', { outputTokensMax: 5 }, 'completions').text).toBe(
      '{"model":"m","prompt":"a","max_tokens":5}',
    )
  })

  test('keeps a limit of its own that is lower, and both of two', () => {
    expect(cut(`{"model":"m",${messages},"max_tokens":3}`, { outputTokensMax: 5 }).words).toEqual([])
    expect(cut(`{"model":"m","max_tokens":9,${messages},"max_completion_tokens":8}`, { outputTokensMax: 5 }).text).toBe(
      `{"model":"m","max_tokens":5,${messages},"max_completion_tokens":5}`,
    )
  })

  test('loses the features it has, and says so of these only', () => {
    const { text, words, facts } = cut(`{"model":"m",${messages},"tools":[{"a":[1]}],"tool_choice":"auto","n":3}`, {
      without: ['tools', 'web-search', 'choices'],
    })
    expect(text).toBe(`{"model":"m",${messages},"tools":null,"tool_choice":null,"n":null}`)
    expect(words).toEqual([
      ['without', 'tools'],
      ['without', 'choices'],
    ])
    expect(facts.choices).toBe(1)
  })
})
