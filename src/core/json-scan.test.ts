import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { JsonProblem, readJsonString, requestJsonLimits, scanJson } from './json-scan.ts'

const bytesOf = (text: string) => new TextEncoder().encode(text)
const scan = (text: string) => scanJson(bytesOf(text), requestJsonLimits)

function isValidJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

describe('JSON scanner', () => {
  test('accepts every text that JSON.parse accepts', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom(0, 1, 2), (value, indent) => {
        expect(scan(JSON.stringify(value, null, indent))).not.toBeInstanceOf(JsonProblem)
      }),
      { numRuns: 500 },
    )
  })

  test('agrees with JSON.parse on texts broken in one place', () => {
    const broken = fc
      .tuple(
        fc.jsonValue({ maxDepth: 4 }),
        fc.nat(),
        fc.constantFrom('', '"', '\\', '}', ']', ',', ':', '0', '-', '.', 'e', '\n', '\u0001', 'x'),
      )
      .map(([value, place, char]) => {
        const text = JSON.stringify(value)
        const at = place % (text.length + 1)
        return text.slice(0, at) + char + text.slice(at + (char === '' ? 1 : 0))
      })
    fc.assert(
      fc.property(broken, (text) => {
        const result = scan(text)
        if (result instanceof JsonProblem && /stands twice/.test(result.message)) return
        expect(!(result instanceof JsonProblem)).toBe(isValidJson(text))
      }),
      { numRuns: 3000 },
    )
  })

  test('agrees with JSON.parse on any row of tokens', () => {
    const tokens = [
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"b"',
      '""',
      '0',
      '-0',
      '01',
      '1.',
      '.5',
      '1e5',
      '1E+',
      '-',
      '+1',
    ]
    const oddities = [
      'true',
      'nul',
      'NaN',
      'Infinity',
      '//',
      "'a'",
      '"\\u12"',
      '"\\x"',
      '"\t"',
      '"\u2028"',
      '\u00a0',
      '\ufeff',
      ' ',
    ]
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...tokens, ...oddities), { maxLength: 9 }), (row) => {
        const text = row.join('')
        const result = scan(text)
        if (result instanceof JsonProblem && /stands twice/.test(result.message)) return
        expect(!(result instanceof JsonProblem)).toBe(isValidJson(text))
      }),
      { numRuns: 5_000 },
    )
  })

  test('agrees with JSON.parse on any bytes that are UTF-8', () => {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    const byte = fc.oneof(fc.constantFrom(...bytesOf('{}[]",:\\u0aé1-.e \n')), fc.nat(255))
    const inText = fc.array(byte, { maxLength: 12 }).map((bytes) => Uint8Array.from([0x22, ...bytes, 0x22]))
    fc.assert(
      fc.property(fc.oneof(inText, fc.uint8Array({ maxLength: 6 })), (bytes) => {
        let text: string
        try {
          text = decoder.decode(bytes)
        } catch {
          return
        }
        expect(!(scanJson(bytes, requestJsonLimits) instanceof JsonProblem)).toBe(isValidJson(text))
      }),
      { numRuns: 5_000 },
    )
  })

  test('sees each byte of a long text, wherever it lies in memory', () => {
    const odd = fc.constantFrom('"', '\\', '\u0000', '\u001f', ' ', '\u007f', '\u00a2', '\\"', '\\\\', '!', '#')
    fc.assert(
      fc.property(fc.nat(40), odd, fc.nat(40), fc.nat(3), (before, byte, after, offset) => {
        const text = `"${'a'.repeat(before)}${byte}${'\u00e9'.repeat(after)}"`
        const bytes = bytesOf(`${'"\\ '.slice(0, offset)}${text}"\\"`).subarray(offset, offset + bytesOf(text).length)
        expect(!(scanJson(bytes, requestJsonLimits) instanceof JsonProblem)).toBe(isValidJson(text))
      }),
      { numRuns: 5_000 },
    )
  })

  test('finds the same members as JSON.parse, at their places', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ maxDepth: 3 })), (value) => {
        const bytes = bytesOf(JSON.stringify(value))
        const result = scanJson(bytes, requestJsonLimits)
        if (result instanceof JsonProblem) throw new Error(result.message)
        const found = result.members.map(({ key, valueStart, valueEnd }) => [
          key,
          JSON.parse(new TextDecoder().decode(bytes.subarray(valueStart, valueEnd))),
        ])
        expect(found).toEqual(Object.entries(JSON.parse(JSON.stringify(value))))
      }),
    )
  })

  test.each(['"\\ud800"', '"\\udc00\\ud800"', '-0', '1e999', `${'9'.repeat(400)}`, '"\u007f\u2028"'])(
    'takes %s',
    (text) => {
      expect(scan(text)).not.toBeInstanceOf(JsonProblem)
      expect(isValidJson(text)).toBe(true)
    },
  )

  test('tells where each outermost member stands', () => {
    const text = '{ "model" : "m\\u006f", "n":12.5e-3 , "messages":[{"a":1},{"b":[2,3]}], "stream":true}'
    const bytes = bytesOf(text)
    const result = scanJson(bytes, requestJsonLimits)
    if (result instanceof JsonProblem) throw new Error(result.message)
    const values = result.members.map((member) => [member.key, text.slice(member.valueStart, member.valueEnd)])
    expect(values).toEqual([
      ['model', '"m\\u006f"'],
      ['n', '12.5e-3'],
      ['messages', '[{"a":1},{"b":[2,3]}]'],
      ['stream', 'true'],
    ])
    expect(result.members[2]?.elements).toBe(2)
    expect(text[result.closeAt]).toBe('}')
  })

  test('finds a member that stands twice among few and among many, wherever it stands', () => {
    for (const count of [2, 15, 16, 17, 40]) {
      const names = Array.from({ length: count }, (_, index) => `"m${index}":${index}`)
      expect(scan(`{${names.join()}}`)).not.toBeInstanceOf(JsonProblem)
      for (const again of [0, count - 1])
        expect(scan(`{${names.join()},"m${again}":0}`)).toMatchObject({
          message: `the member "m${again}" stands twice`,
        })
    }
  })

  test('refuses a member that stands twice, also when one is written with escapes', () => {
    expect(scan('{"model":"a","mod\\u0065l":"b"}')).toMatchObject({ message: 'the member "model" stands twice' })
  })

  test('counts media parts wherever they are', () => {
    const result = scan('{"messages":[{"content":[{"type":"image_url","image_url":{"url":"x"}},{"file":{}}]}]}')
    expect(result).toMatchObject({ mediaParts: 2 })
  })

  test('counts a media part that hides behind escapes', () => {
    expect(scan('{"messages":[{"content":[{"image_\\u0075rl":{"url":"x"}}]}]}')).toMatchObject({ mediaParts: 1 })
    expect(scan('{"messages":[{"cont\\u0065nt":"x"}]}')).toMatchObject({ mediaParts: 0 })
  })

  test('stops at depth, member and element limits', () => {
    expect(scan('['.repeat(65) + ']'.repeat(65))).toBeInstanceOf(JsonProblem)
    expect(scan('['.repeat(64) + ']'.repeat(64))).not.toBeInstanceOf(JsonProblem)
    const members = Array.from({ length: 10_001 }, (_, i) => `"k${i}":0`).join(',')
    expect(scan(`{"x":{${members}}}`)).toMatchObject({ message: 'an object of more than 10000 members' })
    expect(scan(`[${'0,'.repeat(20_000)}0]`)).toMatchObject({ message: 'an array of more than 20000 elements' })
    const arrays = Array.from({ length: 51 }, () => `[${'0,'.repeat(19_999)}0]`).join(',')
    expect(scan(`[${arrays}]`)).toMatchObject({ message: 'more than 1000000 values' })
    const messages = Array.from({ length: 20_000 }, () => '{"role":"user","content":"a"}').join(',')
    expect(scan(`{"messages":[${messages}]}`)).not.toBeInstanceOf(JsonProblem)
    expect(scan(`{"${'k'.repeat(1_100)}":0}`)).toMatchObject({ message: 'a member name of more than 1024 bytes' })
    expect(scan(`{"a":{"${'k'.repeat(1_100)}":0}}`)).not.toBeInstanceOf(JsonProblem)
  })

  test('reads strings of any script and escape', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const bytes = bytesOf(JSON.stringify(text))
        expect(readJsonString(bytes, 0, bytes.length)).toBe(text)
      }),
    )
  })
})
