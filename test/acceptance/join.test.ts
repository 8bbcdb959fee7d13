import { describe, expect, test } from 'vitest'
import type { FaultChange, ServedRequest } from '../../demo/cloud-log.ts'
import type { UsageRow } from '../../src/adapters/storage/storage.ts'
import { replayResult } from '../../src/cli/replay/testing.ts'
import { type Asked, type Books, join, type ViolationKind } from './join.ts'

const startMs = 1_000_000

const result = (change: Partial<Asked> = {}): Asked => ({
  ...replayResult({ sentMs: startMs, endMs: 1_000, contentEvents: 40 }),
  model: 'chat-large',
  ...change,
})

const served = (change: Partial<ServedRequest> = {}): ServedRequest => ({
  kind: 'request',
  requestId: 'req_1',
  cloud: 'microsoft',
  country: 'GB',
  model: 'gpt-oss-120b',
  stream: true,
  status: 200,
  promptTokens: 100,
  cachedTokens: 64,
  completionTokens: 40,
  contentEventsSent: 40,
  bytes: 9_000,
  startMs: startMs + 5,
  endMs: startMs + 995,
  ended: 'complete',
  slotsInUse: 0,
  slotsTotal: 1,
  ...change,
})

const row = (change: Partial<UsageRow> = {}): UsageRow => ({
  id: 'req_1',
  wallMs: startMs,
  tenant: 'british',
  keyId: 'key_1',
  tier: 'default',
  model: 'chat-large',
  state: 'ok',
  source: 'upstream',
  estimated: false,
  inputTokens: 100,
  cachedInputTokens: 64,
  outputTokens: 40,
  nanoUsd: 1,
  attempts: 1,
  endpoint: 'chat-large/microsoft-gb',
  subProcessor: 'microsoft',
  country: 'GB',
  status: 200,
  code: null,
  ...change,
})

const books = (change: Partial<Books> = {}): Books => ({
  results: [result()],
  served: [served()],
  faults: [],
  ledger: [row()],
  tenants: [
    { id: 'british', countries: ['GB'], subProcessors: ['microsoft'] },
    { id: 'anywhere', countries: 'any', subProcessors: 'any' },
  ],
  places: [
    { cloud: 'microsoft', country: 'GB', slots: 1, models: ['chat-large'] },
    { cloud: 'microsoft', country: 'US', slots: 1, models: ['chat-large'] },
  ],
  windowTokens: 64,
  ...change,
})

const cutResult = { ended: 'cut-with-error-event', errorEvents: 1, done: false, code: 'upstream_stream_cut' } as const
const cutRow = { state: 'partial', source: 'counted', estimated: true, inputTokens: 97, cachedInputTokens: 0 } as const
const cut = (change: { result?: Partial<Asked>; served?: Partial<ServedRequest>; row?: Partial<UsageRow> } = {}) =>
  books({
    results: [result({ ...cutResult, contentEvents: 30, ...change.result })],
    served: [served({ ended: 'reset', completionTokens: 33, ...change.served })],
    ledger: [row({ ...cutRow, outputTokens: 30, ...change.row })],
  })

const refusal = { status: 503, code: 'unavailable', retryAfter: '5', ended: 'refused', contentEvents: 0 } as const
const refusedRow = { state: 'refused', source: null, status: 503, inputTokens: 0, outputTokens: 0 } as const
const down: FaultChange = { kind: 'fault', cloud: 'microsoft', country: 'GB', how: 'down', atMs: startMs - 500 }
/** The only place of this tenant is down. */
const refused = (change: Partial<Books> & { result?: Partial<Asked> } = {}) =>
  books({
    results: [result({ ...refusal, ...change.result })],
    served: [],
    faults: [down],
    ledger: [row(refusedRow)],
    ...change,
  })

const kinds = (forged: Books) => join(forged).violations.map(({ kind }) => kind)

describe('books that agree', () => {
  test.each([
    ['a whole answer', books()],
    ['an answer that was cut', cut()],
    ['a cut answer charged for a whole window above what was delivered', cut({ row: { outputTokens: 94 } })],
    ['a refusal while the only place is down', refused()],
    ['nothing at all', books({ results: [], served: [], ledger: [] })],
    [
      'an answer that a second cloud gave after the first was reset',
      books({
        results: [result({ key: 1, attempts: 2 })],
        served: [served({ ended: 'reset', completionTokens: 0 }), served({ country: 'US' })],
        ledger: [row({ tenant: 'anywhere', country: 'US', attempts: 2 })],
      }),
    ],
  ])('%s', (_what, agreeing) => {
    expect(join(agreeing).violations).toEqual([])
  })

  test('are counted', () => {
    const { checked } = join(
      books({
        results: [
          result(),
          result({ ...cutResult, requestId: 'req_2', contentEvents: 40 }),
          result({ ...refusal, requestId: 'req_3' }),
        ],
      }),
    )
    expect(checked).toEqual({ results: 3, whole: 1, cut: 1, failedBeforeFirstByte: 1, cloudLines: 1, ledgerRows: 1 })
  })
})

describe('a forged book is found out', () => {
  test.each<[string, ViolationKind, Books]>([
    ['the cloud counts one input token more', 'wrong-tokens', books({ served: [served({ promptTokens: 101 })] })],
    ['the cloud counts other cached tokens', 'wrong-tokens', books({ served: [served({ cachedTokens: 0 })] })],
    ['the ledger counts one output token less', 'wrong-tokens', books({ ledger: [row({ outputTokens: 39 })] })],
    ['the client got one event less', 'wrong-tokens', books({ results: [result({ contentEvents: 39 })] })],
    ['a whole answer is marked as estimated', 'wrong-tokens', books({ ledger: [row({ estimated: true })] })],
    ['a whole answer is settled as cut', 'wrong-tokens', books({ ledger: [row({ state: 'partial' })] })],
    ['no cloud gave the whole answer', 'wrong-tokens', books({ served: [served({ ended: 'reset' })] })],
    ['two clouds gave the whole answer', 'doubled', books({ served: [served(), served()] })],
    ['the ledger holds it twice', 'doubled', books({ ledger: [row(), row()] })],
    ['two clients have the same id', 'doubled', books({ results: [result(), result()] })],
    ['the ledger does not hold the whole answer', 'not-in-ledger', books({ ledger: [] })],
    ['the ledger does not hold the cut answer', 'not-in-ledger', { ...cut(), ledger: [] }],
    ['the ledger does not hold the refusal', 'not-in-ledger', refused({ ledger: [] })],
    ['the ledger holds what nobody asked', 'unasked', books({ ledger: [row(), row({ id: 'req_2' })] })],
    ['a cloud served what nobody asked', 'unasked', books({ served: [served(), served({ requestId: 'req_2' })] })],
    ['a cloud served without an id', 'unasked', books({ served: [served(), served({ requestId: null })] })],
    ['it is never settled', 'left-open', books({ ledger: [row({ state: 'open' })] })],
    ['it was served abroad', 'outside-terms', books({ served: [served({ country: 'US' })] })],
    ['it was served by another vendor', 'outside-terms', books({ served: [served({ cloud: 'google-cloud' })] })],
    [
      'it only knocked abroad and was sent away',
      'outside-terms',
      books({ served: [served({ country: 'US', status: 429, ended: 'rejected' }), served()] }),
    ],
    ['it stands under another country', 'wrong-place', books({ ledger: [row({ country: 'US' })] })],
    ['it stands under another tenant', 'wrong-place', books({ ledger: [row({ tenant: 'anywhere' })] })],
    ['the cut answer ends without an error event', 'cut-wrongly', cut({ result: { errorEvents: 0 } })],
    ['the cut answer ends in two error events', 'cut-wrongly', cut({ result: { errorEvents: 2 } })],
    ['the cut answer is passed off as ended', 'cut-wrongly', cut({ result: { done: true } })],
    ['something follows the error event', 'cut-wrongly', cut({ result: { ended: 'cut-without' } })],
    ['the cut answer is charged less than was delivered', 'outside-window', cut({ row: { outputTokens: 29 } })],
    ['the cut answer is charged above the window', 'outside-window', cut({ row: { outputTokens: 95 } })],
    ['more was delivered than any cloud made', 'outside-window', cut({ served: { completionTokens: 29 } })],
    ['the cut answer is not marked as estimated', 'not-flagged', cut({ row: { estimated: false } })],
    ['the cut answer is settled as whole', 'not-flagged', cut({ row: { state: 'ok' } })],
    ['it failed while its place was well and empty', 'failed-with-room', refused({ faults: [] })],
    ['it failed while its place was only slow', 'failed-with-room', refused({ faults: [{ ...down, how: 'slow' }] })],
    ['it failed while another eligible place had room', 'failed-with-room', refused({ result: { key: 1 } })],
    [
      'it failed well after its place came back',
      'failed-with-room',
      refused({ faults: [down, { ...down, how: null, atMs: startMs + 800 }] }),
    ],
    ['it was told to come back, but not when', 'unclear-refusal', refused({ result: { retryAfter: null } })],
    [
      'its connection just ended',
      'unclear-refusal',
      refused({ result: { status: 0, code: null, ended: 'unreachable' } }),
    ],
  ])('%s', (_what, kind, forged) => {
    expect(kinds(forged)).toContain(kind)
  })
})

describe('a free slot', () => {
  const failedMs = startMs + 1_000

  test('is not one that another request held until just before', () => {
    const holder = served({ requestId: 'req_2', startMs, endMs: failedMs - 25 })
    const forged = refused({ faults: [], served: [holder] })
    expect(kinds(forged)).not.toContain('failed-with-room')
    const earlier = { ...holder, endMs: failedMs - 75 }
    expect(kinds({ ...forged, served: [earlier] })).toContain('failed-with-room')
  })

  test('is not one whose place came back just before', () => {
    const back: FaultChange = { ...down, how: null, atMs: failedMs - 25 }
    expect(kinds(refused({ faults: [down, back] }))).not.toContain('failed-with-room')
  })

  test('is not one for which a request was on its way', () => {
    const next = served({ requestId: 'req_2', startMs: failedMs + 25, endMs: failedMs + 500 })
    const forged = refused({ faults: [], served: [next] })
    expect(kinds(forged)).not.toContain('failed-with-room')
    const later = { ...next, startMs: failedMs + 75 }
    expect(kinds({ ...forged, served: [later] })).toContain('failed-with-room')
  })

  test('must have been free for as long as news took that day', () => {
    // Ninety-nine answers that came at once and two that came late, by clients' word against the clouds'.
    const day = (lateMs: number): Partial<Books> => ({
      results: [
        result({ ...refusal }),
        ...Array.from({ length: 101 }, (_, index) =>
          result({ requestId: `req_${index + 2}`, endMs: 2_000 + (index < 2 ? lateMs : 0) }),
        ),
      ],
      served: Array.from({ length: 101 }, (_, index) =>
        served({ requestId: `req_${index + 2}`, country: 'US', startMs: startMs + 1_900, endMs: startMs + 2_000 }),
      ),
    })
    expect(join(books(day(0))).newsMs).toBe(50)
    expect(join(books(day(180))).newsMs).toBe(180)
    // A machine that is slower than that is no excuse for the gateway.
    expect(join(books(day(9_000))).newsMs).toBe(500)
    const back: FaultChange = { ...down, how: null, atMs: failedMs - 100 }
    const failed = (lateMs: number) => kinds(books({ ...day(lateMs), faults: [down, back] }))
    expect(failed(0)).toContain('failed-with-room')
    expect(failed(180)).not.toContain('failed-with-room')
  })

  test('is none where the place does not serve the model', () => {
    expect(kinds(refused({ faults: [], result: { model: 'chat-small' } }))).not.toContain('failed-with-room')
  })

  test.each(['down', 'reset', 'stall', '429'] as const)('is none while the place fails with %s', (how) => {
    expect(kinds(refused({ faults: [{ ...down, how }] }))).not.toContain('failed-with-room')
  })

  test('is not taken by what was only rejected', () => {
    const rejected = served({ requestId: 'req_2', status: 429, ended: 'rejected', startMs, endMs: failedMs + 500 })
    expect(kinds(refused({ faults: [], served: [rejected] }))).toContain('failed-with-room')
  })

  test('of two at a place is left while only one is taken', () => {
    const holder = served({ requestId: 'req_2', startMs, endMs: failedMs + 500 })
    const places = [{ cloud: 'microsoft', country: 'GB', slots: 2, models: ['chat-large'] }]
    expect(kinds(refused({ faults: [], served: [holder] }))).not.toContain('failed-with-room')
    expect(kinds(refused({ faults: [], served: [holder], places }))).toContain('failed-with-room')
  })
})
