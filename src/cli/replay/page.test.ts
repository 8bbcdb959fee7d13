import { describe, expect, test } from 'vitest'
import { replayPage } from './page.ts'
import type { ReplayRun } from './run.ts'
import type { ReplayResult } from './sender.ts'
import { summarise } from './summary.ts'
import { replayResult } from './testing.ts'

const run = (results: readonly ReplayResult[], change: Partial<ReplayRun> = {}): ReplayRun => ({
  trace: 'trace.csv',
  speed: 5,
  url: 'http://127.0.0.1:8420/v1',
  model: 'chat-large',
  keys: 1,
  planned: results.length,
  partial: false,
  results,
  summary: summarise(results, new Map()),
  ...change,
})

/** Spread over ten minutes and thirty places; every seventh fails. */
const many = (count: number) =>
  Array.from({ length: count }, (_, index) =>
    replayResult({
      index,
      sentMs: (index / count) * 600_000,
      ttftMs: 20 + (index % 997),
      endMs: 1_000 + (index % 4_001),
      endpoint: `chat-large/place-${index % 30}`,
      ...(index % 7 === 0 && { status: 503, ended: 'refused' as const, code: 'unavailable', ttftMs: null }),
    }),
  )

describe('the page of a replay', () => {
  test('loads nothing and runs nothing', () => {
    const page = replayPage(run(many(500)))
    expect(page).not.toMatch(/<script|<link|<img|<iframe|@import|url\(|src=|href=/i)
    expect(page).toContain("default-src 'none'")
  })

  test('is as large for a hundred thousand requests as for a thousand', () => {
    const small = replayPage(run(many(1_000))).length
    const large = replayPage(run(many(100_000))).length
    expect(large).toBeLessThan(small * 1.2)
    expect(large).toBeLessThan(100_000)
  })

  test('says that it is a simulation where answers say so, and nothing of the kind where none does', () => {
    expect(replayPage(run([replayResult()]))).toContain('Simulation: 1 answers')
    expect(replayPage(run([replayResult({ simulated: false })]))).not.toMatch(/simulat/i)
  })

  test('says that it is partial', () => {
    expect(replayPage(run([replayResult()]))).not.toContain('Partial')
    const cut = [replayResult(), replayResult({ ended: 'given-up' })]
    expect(replayPage(run(cut, { partial: true, planned: 2_867 }))).toContain(
      'Partial: ended by hand after 2 of 2,867 requests, 1 of them not waited for',
    )
  })

  test('names units, and what each curve is', () => {
    const page = replayPage(run(many(500)))
    for (const words of [
      'requests a second, when sent',
      'minutes since the first request',
      'time to the first token',
      'of the requests took no longer',
      '95th percentile',
      '23 others',
    ])
      expect(page).toContain(words)
  })

  test('shows names as text, whatever is in them', () => {
    const evil = '<b onload="x">&'
    const page = replayPage(run([replayResult({ endpoint: `m/${evil}`, country: evil })], { trace: evil, url: evil }))
    expect(page).not.toContain('<b onload')
    expect(page).toContain('&lt;b onload=&quot;x&quot;&gt;&amp;')
  })

  test.each([
    ['nothing was sent', []],
    ['all were refused', [replayResult({ status: 503, ended: 'refused', ttftMs: null, endpoint: null })]],
    ['one was sent', [replayResult()]],
    ['first tokens came at once', [replayResult({ ttftMs: 0, endMs: 0 })]],
  ])('holds no figure that is none where %s', (_what, results) => {
    expect(replayPage(run(results))).not.toMatch(/NaN|Infinity|undefined/)
  })
})
