import { describe, expect, test } from 'vitest'
import { readPrompt } from '../../../demo/prompt.ts'
import { requestBody } from './prompt.ts'
import { blockTokens, readTrace, type TraceRequest } from './trace.ts'

const request = (change: Partial<TraceRequest> = {}): TraceRequest => ({
  atMs: 0,
  inputTokens: 100,
  outputTokens: 7,
  blocks: [],
  ...change,
})
/** As a demo cloud reads it. */
const read = (body: Buffer) => readPrompt(body.toString(), 'chat/completions')
const text = (body: Buffer) => (JSON.parse(body.toString()) as { messages: [{ content: string }] }).messages[0].content

describe('the body of a replayed request', () => {
  test.each([1, 2, 3, 511, 512, 513, 40_000, 200_000])(
    'of %i input tokens has as many for the clouds',
    (inputTokens) => {
      expect(read(requestBody(request({ inputTokens }), 3, 'm')).tokens).toBe(inputTokens)
      expect(read(requestBody(request({ inputTokens, blocks: [4, 5, 6] }), 3, 'm')).tokens).toBe(inputTokens)
    },
  )

  test.each(['azure-2023-conversation', 'burstgpt-head', 'mooncake-head'])(
    'has the lengths that %s recorded, for every request',
    (name) => {
      const trace = readTrace(name, '.')
      const counted = trace.map((one, index) => read(requestBody(one, index, 'm')))
      expect(counted.map(({ tokens }) => tokens)).toEqual(trace.map(({ inputTokens }) => Math.max(1, inputTokens)))
      expect(counted.map(({ outputTokens }) => outputTokens)).toEqual(
        trace.map(({ outputTokens }) => Math.max(1, outputTokens)),
      )
    },
  )

  test('asks for a stream with its usage, from the model that was named', () => {
    expect(read(requestBody(request(), 0, 'say "m"'))).toMatchObject({
      model: 'say "m"',
      stream: true,
      includeUsage: true,
      outputTokens: 7,
    })
  })

  test('is another one for each request, from its first word on', () => {
    const first = Array.from({ length: 1_000 }, (_, index) => text(requestBody(request(), index, 'm')).split(' ', 1)[0])
    expect(new Set(first).size).toBe(1_000)
  })

  test('is the same each time', () => {
    expect(requestBody(request(), 5, 'm')).toEqual(requestBody(request(), 5, 'm'))
  })

  test('begins as another one does exactly as far as the trace says', () => {
    const words = (blocks: number[]) =>
      text(requestBody(request({ inputTokens: 3 * blockTokens, blocks }), blocks[2] as number, 'm'))
        .trim()
        .split(' ')
    const one = words([1, 2, 3])
    const other = words([1, 2, 4])
    const shared = one.findIndex((word, index) => word !== other[index])
    expect(shared).toBe(2 * blockTokens)
  })
})
