import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import { readTrace } from './trace.ts'

const dir = mkdtempSync(path.join(tmpdir(), 'spillway-trace-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

function file(name: string, content: string | Buffer): string {
  writeFileSync(path.join(dir, name), content)
  return name
}

const azure = 'TIMESTAMP,ContextTokens,GeneratedTokens'
const burstGpt = 'Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type'

describe('a trace is read', () => {
  test('in Azure’s rows of 2023, to a fraction of a millisecond, from its first request on', () => {
    const name = file(
      'a.csv',
      `${azure}\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\r\n2023-11-16 18:15:51,5,6`,
    )
    const trace = readTrace(name, dir)
    expect(trace.map(({ inputTokens, outputTokens }) => [inputTokens, outputTokens])).toEqual([
      [374, 44],
      [396, 109],
      [5, 6],
    ])
    expect(trace.map(({ atMs }) => Math.round(atMs * 1_000) / 1_000)).toEqual([0, 4_314.579, 4_319.41])
  })

  test('in Azure’s rows of 2024, which name their zone', () => {
    const name = file(
      'a24.csv',
      `${azure}\n2024-05-10 00:00:00.009930+00:00,2162,5\n2024-05-10 00:00:00.017335+00:00,2399,6`,
    )
    expect(readTrace(name, dir)[1]).toMatchObject({ inputTokens: 2399, outputTokens: 6 })
  })

  test('in BurstGPT’s CSV, whose times are seconds', () => {
    const name = file('b.csv', `${burstGpt}\n5,ChatGPT,472,18,490,Conversation log\n45.5,GPT-4,1087,230,1317,API log\n`)
    expect(readTrace(name, dir)).toEqual([
      { atMs: 0, inputTokens: 472, outputTokens: 18, blocks: [] },
      { atMs: 40_500, inputTokens: 1087, outputTokens: 230, blocks: [] },
    ])
  })

  test('in Mooncake’s JSON lines, with the blocks of each prompt', () => {
    const name = file(
      'm.jsonl',
      '{"timestamp": 1000, "input_length": 700, "output_length": 3, "hash_ids": [0, 1]}\n{"timestamp": 1500, "input_length": 9, "output_length": 4}\n',
    )
    expect(readTrace(name, dir)).toEqual([
      { atMs: 0, inputTokens: 700, outputTokens: 3, blocks: [0, 1] },
      { atMs: 500, inputTokens: 9, outputTokens: 4, blocks: [] },
    ])
  })

  test('packed with gzip, whatever it is called, and with a byte order mark', () => {
    const name = file('packed', gzipSync(`\uFEFF${azure}\n2023-11-16 18:15:46,1,2\n`))
    expect(readTrace(name, dir)).toHaveLength(1)
  })

  test('in the order of arrival, also where its lines are not', () => {
    const name = file('late.csv', `${burstGpt}\n9,m,3,3,6,x\n5,m,1,1,2,x\n7,m,2,2,4,x`)
    expect(readTrace(name, dir).map(({ atMs, inputTokens }) => [atMs, inputTokens])).toEqual([
      [0, 1],
      [2_000, 2],
      [4_000, 3],
    ])
  })

  test.each([
    ['azure-2023-conversation', 2_867],
    ['burstgpt-head', 54],
    ['mooncake-head', 50],
  ])('%s comes with the project', (name, requests) => {
    expect(readTrace(name, dir)).toHaveLength(requests)
  })
})

describe('a trace that cannot be used is refused whole', () => {
  test.each<[string, string | Buffer, RegExp]>([
    ['a time that is none', `${azure}\n2023-11-16 18:15:46,1,2\nyesterday,1,2`, /line 3: "yesterday" is not a time/],
    [
      'tokens that are no number',
      `${azure}\n2023-11-16 18:15:46,many,2`,
      /line 2: "many" is not a number of input tokens/,
    ],
    ['a missing column', `${azure}\n2023-11-16 18:15:46,1`, /line 2: "" is not a number of output tokens/],
    ['a part of a token', `${burstGpt}\n1,m,1.5,2,3,x`, /line 2: "1.5" is not a number of input tokens/],
    ['a negative count', `${burstGpt}\n1,m,1,-2,3,x`, /line 2: "-2" is not a number of output tokens/],
    ['no time', `${burstGpt}\n,m,1,2,3,x`, /line 2: its time is not a number/],
    ['a line that is not JSON', '{"timestamp":0,"input_length":1,"output_length":1}\n{', /line 2: it is not JSON/],
    ['JSON without a time', '{"input_length":1,"output_length":1}', /line 1: its time is not a number/],
    ['JSON without tokens', '{"timestamp":0,"output_length":1}', /line 1: "undefined" is not a number of input tokens/],
    ['nothing but a header', azure, /has no requests/],
    ['an empty file', '', /not a trace that is known/],
    ['another kind of file', 'name,age\nx,1', /not a trace that is known/],
    ['a torn gzip file', gzipSync('x'.repeat(1_000)).subarray(0, 20), /cannot be read/],
  ])('%s', (what, content, problem) => {
    const name = file(`bad-${what.replaceAll(' ', '-')}`, content)
    expect(() => readTrace(name, dir)).toThrow(problem)
    expect(() => readTrace(name, dir)).toThrow(path.join(dir, name))
  })

  test('many bad lines: the first are named, the others counted', () => {
    const name = file('many.csv', `${burstGpt}\n${'1,m,x,2,3,x\n'.repeat(8)}`)
    expect(() => readTrace(name, dir)).toThrow(/line 2: .*line 6: .*; and 3 more$/)
  })

  test('a name that is neither a file nor one of the project’s traces', () => {
    expect(() => readTrace('nowhere.csv', dir)).toThrow(/there is no trace nowhere.csv; .*azure-2023-conversation/)
  })

  test('a folder', () => {
    expect(() => readTrace('.', dir)).toThrow(/cannot be read/)
  })
})
