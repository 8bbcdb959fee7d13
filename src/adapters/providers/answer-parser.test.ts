import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AnswerParser, type ParsedHead, type ParserState } from './answer-parser.ts'

interface Read {
  readonly heads: ParsedHead[]
  readonly body: string
  readonly state: ParserState
  readonly problem: string
}

/** Pushes pieces until the answer is over; then the connection closes if `closes`. */
function read(pieces: readonly Buffer[], closes = false): Read {
  const heads: ParsedHead[] = []
  const body: Buffer[] = []
  const parser = new AnswerParser({
    onHead: (head) => heads.push(head),
    onBody: (bytes) => body.push(Buffer.from(bytes)),
  })
  let state: ParserState = 'open'
  for (const piece of pieces) {
    // Given as the transport gives it: in memory that is used again afterwards.
    const shared = Buffer.from(piece)
    state = parser.push(shared)
    shared.fill('#')
    if (state !== 'open') break
  }
  if (closes && state === 'open') state = parser.close()
  return { heads, body: Buffer.concat(body).toString('latin1'), state, problem: parser.problem }
}

const answer = (head: string, body = '') => `HTTP/1.1 200 OK\r\n${head}\r\n${body}`
const whole: [what: string, text: string, body: string, state: ParserState][] = [
  ['a length', answer('Content-Length: 5\r\n', 'hello'), 'hello', 'whole'],
  ['no body', answer('content-length: 0\r\n'), '', 'whole'],
  ['no reason in its status line', 'HTTP/1.1 200\r\ncontent-length:2\r\n\r\nok', 'ok', 'whole'],
  ['status 204', 'HTTP/1.1 204 No Content\r\n\r\n', '', 'whole'],
  ['chunks', answer('transfer-encoding: chunked\r\n', '5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n'), 'hello!', 'whole'],
  [
    'chunks with extensions, leading zeros and capital digits',
    answer('Transfer-Encoding: Chunked\r\n', '00A;x="y"\r\n0123456789\r\n2 ; z\r\nab\r\n0;last\r\n\r\n'),
    '0123456789ab',
    'whole',
  ],
  ['trailers', answer('transfer-encoding: chunked\r\n', '1\r\na\r\n0\r\nx-sum: 1\r\nx-more: 2\r\n\r\n'), 'a', 'whole'],
  [
    'hints before it',
    `HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${answer('content-length: 1\r\n', 'a')}`,
    'a',
    'whole',
  ],
  ['a connection that closes after it', answer('connection: close\r\ncontent-length: 1\r\n', 'a'), 'a', 'last'],
  ['HTTP/1.0', 'HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na', 'a', 'last'],
  [
    'HTTP/1.0 and a kept connection',
    'HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 1\r\n\r\na',
    'a',
    'whole',
  ],
]

describe('an answer with', () => {
  test.each(whole)('%s is read', (_what, text, body, state) => {
    expect(read([Buffer.from(text)])).toMatchObject({ body, state, problem: '' })
  })

  test.each(whole)('%s is read the same however it is cut', (_what, text, body, state) => {
    const bytes = Buffer.from(text)
    const cuts = fc.array(fc.integer({ min: 1, max: bytes.length - 1 }), { maxLength: 8 })
    fc.assert(
      fc.property(cuts, (unsorted) => {
        const at = [0, ...unsorted.sort((a, b) => a - b), bytes.length]
        const pieces = at.slice(1).map((end, index) => bytes.subarray(at[index], end))
        expect(read(pieces)).toMatchObject({ body, state, problem: '' })
      }),
      { numRuns: 60 },
    )
    expect(read([...bytes].map((byte) => Buffer.from([byte])))).toMatchObject({ body, state })
  })

  test('neither length nor chunks ends with its connection', () => {
    expect(read([Buffer.from(answer('x: y\r\n', 'abc'))])).toMatchObject({ body: 'abc', state: 'open' })
    expect(read([Buffer.from(answer('x: y\r\n', 'abc'))], true)).toMatchObject({ body: 'abc', state: 'last' })
  })

  test('a length or chunks does not end with its connection', () => {
    expect(read([Buffer.from(answer('content-length: 5\r\n', 'hell'))], true).state).toBe('open')
    expect(read([Buffer.from(answer('transfer-encoding: chunked\r\n', '4\r\nhell\r\n'))], true).state).toBe('open')
  })

  test('headers gives them by their names in small letters, without the blanks around them', () => {
    const { heads } = read([
      Buffer.from(answer('X-A:  b\t c \t\r\nset-cookie: 1\r\nSet-Cookie: 2\r\nempty:\r\ncontent-length: 0\r\n')),
    ])
    expect(heads).toEqual([
      { status: 200, headers: { 'x-a': 'b\t c', 'set-cookie': ['1', '2'], empty: '', 'content-length': '0' } },
    ])
  })

  test('many small chunks in one read gives their bytes in one piece', () => {
    const pieces: string[] = []
    const parser = new AnswerParser({ onHead: () => {}, onBody: (bytes) => pieces.push(bytes.toString()) })
    const body = 'abc'.split('').map((letter) => `1\r\n${letter}\r\n`)
    expect(parser.push(Buffer.from(answer('transfer-encoding: chunked\r\n', body.join(''))))).toBe('open')
    expect(pieces).toEqual(['abc'])
  })
})

const chunked = (body: string) => answer('transfer-encoding: chunked\r\n', body)
describe('no answer is', () => {
  test.each([
    ['another protocol', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['HTTP/2', 'HTTP/2 200\r\n\r\n'],
    ['HTTP/1.2', 'HTTP/1.2 200 OK\r\n\r\n'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
    ['a status of 600', 'HTTP/1.1 600 OK\r\n\r\n'],
    ['a change of protocol', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n'],
    ['lines that end in line feeds alone', 'HTTP/1.1 200 OK\ncontent-length: 0\r\n\r\n'],
    ['a line feed inside a head', answer('x: y\ncontent-length: 0\r\n')],
    ['a carriage return inside a value', answer('x: y\rz\r\n')],
    ['a NUL inside a value', answer('x: \0\r\n')],
    ['a blank before a colon', answer('content-length : 1\r\n', 'a')],
    ['a folded line', answer('x: y\r\n z\r\n')],
    ['a header without a name', answer(': x\r\n')],
    ['a header without a colon', answer('content-length\r\n')],
    ['two lengths', answer('content-length: 1\r\ncontent-length: 2\r\n', 'a')],
    ['the same length twice', answer('content-length: 1\r\ncontent-length: 1\r\n', 'a')],
    ['a list of lengths', answer('content-length: 1, 1\r\n', 'a')],
    ['a length with a sign', answer('content-length: +1\r\n', 'a')],
    ['a length in hexadecimal', answer('content-length: 0x1\r\n', 'a')],
    ['an empty length', answer('content-length:\r\n')],
    ['a length that is too long', answer(`content-length: ${'9'.repeat(16)}\r\n`)],
    ['a length beside chunks', answer('content-length: 1\r\ntransfer-encoding: chunked\r\n', '1\r\na\r\n0\r\n\r\n')],
    ['a coding that is not known', answer('transfer-encoding: gzip, chunked\r\n')],
    ['a coding twice', answer('transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n')],
    ['chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a chunk without a size', chunked('\r\na\r\n')],
    ['a chunk with a negative size', chunked('-1\r\na\r\n')],
    ['a chunk with a size of thirteen digits', chunked(`${'0'.repeat(13)}\r\n`)],
    ['a chunk whose size ends in a line feed alone', chunked('1\na\r\n')],
    ['a chunk that is longer than its size', chunked('1\r\nab\r\n')],
    ['a line feed alone after a chunk', chunked('1\r\na\n')],
    ['a line feed inside an extension', chunked('1;a\nb\r\na\r\n')],
    ['an extension without end', chunked(`1;${'a'.repeat(20_000)}`)],
    ['trailers without end', chunked(`0\r\n${'x: y\r\n'.repeat(5_000)}`)],
    ['a line feed alone after trailers', chunked('0\r\nx: y\n\r\n')],
    ['a head of more than 64 KiB', answer(`x: ${'a'.repeat(65_536)}\r\n`)],
    ['hints without end', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(3_000)],
  ])('%s', (_what, text) => {
    const outcome = read([Buffer.from(text)])
    expect(outcome.state).toBe('invalid')
    expect(outcome.problem).not.toBe('')
    expect(read([...Buffer.from(text)].map((byte) => Buffer.from([byte]))).state).toBe('invalid')
  })

  // Of what comes in the same read: once an answer was whole, what follows is the connection's business.
  test.each([
    ['a byte past its length', answer('content-length: 1\r\n', 'ab')],
    ['a byte past its last chunk', chunked('0\r\n\r\n!')],
    ['an answer behind another', answer('content-length: 0\r\n') + answer('content-length: 0\r\n')],
    ['a body under status 204', 'HTTP/1.1 204 No Content\r\n\r\na'],
  ])('one with %s', (_what, text) => {
    expect(read([Buffer.from(text)])).toMatchObject({ state: 'invalid', problem: 'bytes follow the end of the answer' })
  })

  test('a head that breaks off', () => {
    expect(read([Buffer.from('HTTP/1.1 200 O')], true).state).toBe('invalid')
    expect(read([], true).state).toBe('open')
  })

  test('bytes of any kind (nothing is thrown)', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), (pieces) => {
        const { state } = read(
          [
            Buffer.from('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n'),
            ...pieces.map((piece) => Buffer.from(piece)),
          ],
          true,
        )
        expect(['open', 'whole', 'invalid']).toContain(state)
      }),
    )
  })
})
