import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type EventKind, EventScanner, eventData } from './event-scanner.ts'

/** What a scanner tells of a stream that comes in these pieces. */
function scanned(pieces: readonly Buffer[], eventBytesMax = 1_000_000) {
  const events: { kind: EventKind; text: string }[] = []
  const scanner = new EventScanner(
    (kind, bytes, start, end) => events.push({ kind, text: bytes.toString('utf8', start, end) }),
    eventBytesMax,
  )
  const fits = pieces.map((piece) => scanner.push(piece))
  scanner.end()
  return { events, fits: fits.every(Boolean) }
}

const stream = [
  ': hello\r\n\r\n',
  'data: {"a":"Grüße 👋"}\n\n',
  'event: message\ndata: 1\ndata:2\n\n',
  'event: error\ndata: {}\n\n',
  'id: 7\r\ndata: x\r\n\r\n',
  'data: [DONE]\n\n',
]
const kinds = ['comment', 'data', 'data', 'error', 'data', 'done']

describe('the events of a stream', () => {
  test('are the same wherever the bytes are cut in two', () => {
    const bytes = Buffer.from(stream.join(''))
    for (let cut = 0; cut <= bytes.length; cut++) {
      const { events } = scanned([bytes.subarray(0, cut), bytes.subarray(cut)])
      expect(events.map(({ text }) => text)).toEqual(stream)
      expect(events.map(({ kind }) => kind)).toEqual(kinds)
    }
  })

  test('are the same however the bytes are cut', () => {
    const bytes = Buffer.from(stream.join(''))
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 20 }), (cuts) => {
        const places = [0, ...cuts.sort((a, b) => a - b), bytes.length]
        const pieces = places.slice(1).map((place, index) => bytes.subarray(places[index], place))
        expect(scanned(pieces).events.map(({ text }) => text)).toEqual(stream)
      }),
    )
  })

  test('are kept where more comes into the same memory', () => {
    const kept: Buffer[] = []
    const scanner = new EventScanner((_kind, bytes, start, end) => kept.push(bytes.subarray(start, end)), 1_000)
    for (const byte of Buffer.from('data: one\n\ndata: two\n\ndata: three\n\n')) scanner.push(Buffer.from([byte]))
    expect(kept.map(String)).toEqual(['data: one\n\n', 'data: two\n\n', 'data: three\n\n'])
  })

  test('have their data lines joined', () => {
    const bytes = Buffer.from('event: x\r\ndata: {"a":\r\ndata: 1}\r\n\r\n')
    expect(eventData(bytes, 0, bytes.length)).toBe('{"a":\n1}')
  })

  test('may not be larger than allowed', () => {
    expect(scanned([Buffer.from(`data: ${'x'.repeat(90)}`)], 100).fits).toBe(true)
    expect(scanned([Buffer.from(`data: ${'x'.repeat(50)}`), Buffer.from('x'.repeat(50))], 100).fits).toBe(false)
  })

  test('of 8 MiB in single kilobytes take no longer for each further one', () => {
    const piece = Buffer.alloc(1024, 'x')
    const pieces = [Buffer.from('data: '), ...Array.from({ length: 8 * 1024 }, () => piece), Buffer.from('\n\n')]
    const startedMs = performance.now()
    expect(scanned(pieces, 16 * 1024 * 1024).events).toHaveLength(1)
    // Copying all of it for each piece would be 32 GiB, which takes several seconds anywhere.
    expect(performance.now() - startedMs).toBeLessThan(2_000)
  })
})
