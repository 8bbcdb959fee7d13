import type { Asked, Books, Joined, ViolationKind } from './join.ts'
import { onlyBritish, tenants } from './tenants.ts'

/** One thing that must hold, and what was seen. */
export interface BarLine {
  readonly what: string
  readonly holds: boolean
  readonly seen: string
}

export interface BarInput {
  readonly books: Books
  readonly joined: Joined
  /** Each fault has to last at least this long. */
  readonly faultMsMin: number
  /** Asked while the only place of the tenant was down. */
  readonly whileDown: Asked
  /** Asked for a model that no place allowed to the tenant serves. */
  readonly ineligible: Asked
}

/** How long one way of failing lasted, by the cloud's own log. */
export interface FaultSpan {
  readonly how: string
  readonly fromMs: number
  readonly toMs: number
}

export function faultSpans({ faults }: Books): FaultSpan[] {
  const sorted = [...faults].sort((a, b) => a.atMs - b.atMs)
  return sorted.flatMap(({ how, atMs, cloud, country }, index) => {
    if (how === null) return []
    const next = sorted.slice(index + 1).find((other) => other.cloud === cloud && other.country === country)
    return [{ how, fromMs: atMs, toMs: next?.atMs ?? Number.POSITIVE_INFINITY }]
  })
}

/** Every line of the bar. */
export function barOf({ books, joined, faultMsMin, whileDown, ineligible }: BarInput): BarLine[] {
  const { checked, violations } = joined
  const spans = faultSpans(books)
  const whole = books.ledger.filter(({ state }) => state === 'ok')
  const total = (of: (row: (typeof whole)[number]) => number) => whole.reduce((sum, row) => sum + of(row), 0)
  const none = (what: string, kinds: readonly ViolationKind[], seen: string): BarLine => {
    const found = violations.filter(({ kind }) => kinds.includes(kind))
    const [first] = found
    return {
      what,
      holds: found.length === 0,
      seen: first === undefined ? seen : `${found.length} do not hold, such as ${first.requestId}: ${first.detail}`,
    }
  }
  const cuts = cutsIn(books)
  const barred = barredResults(books)
  return [
    {
      what: `microsoft/GB was down, then slow, then resetting${faultMsMin > 0 ? `, each at least ${faultMsMin / 1_000} s` : ''}`,
      holds:
        spans.map(({ how }) => how).join() === 'down,slow,reset' &&
        spans.every(({ fromMs, toMs }) => toMs - fromMs >= faultMsMin && Number.isFinite(toMs)),
      seen: spans.map(({ how, fromMs, toMs }) => `${how} ${((toMs - fromMs) / 1_000).toFixed(1)} s`).join(', '),
    },
    none(
      'no request fails before its first byte while an eligible place has a free slot',
      ['failed-with-room'],
      `${checked.failedBeforeFirstByte} of ${checked.results} failed, none with room`,
    ),
    none(
      'a stream that is cut later ends in exactly one error event',
      ['cut-wrongly'],
      `${checked.cut} of ${checked.cut} cut streams`,
    ),
    none(
      'no request reaches a cloud or country outside its tenant’s terms',
      ['outside-terms'],
      `0 of ${checked.cloudLines} arrivals at clouds`,
    ),
    none(
      'of whole answers, ledger and clouds count the same, token for token',
      ['wrong-tokens'],
      `${checked.whole} answers, ${total((row) => row.inputTokens)} tokens in (${total((row) => row.cachedInputTokens)} cached), ${total((row) => row.outputTokens)} out`,
    ),
    none(
      `cut answers are charged what was delivered and at most ${books.windowTokens} tokens more, and marked`,
      ['outside-window', 'not-flagged'],
      cuts.length === 0
        ? 'none was cut'
        : `${cuts.length} answers, ${Math.min(...cuts)} to ${Math.max(...cuts)} tokens above what was delivered`,
    ),
    none(
      'nothing is in the ledger twice, under another name, unsettled, or missing',
      ['doubled', 'wrong-place', 'left-open', 'not-in-ledger', 'unasked'],
      `${checked.ledgerRows} rows for ${checked.results} requests`,
    ),
    none(
      'every refusal has a code, and says when to come back if coming back helps',
      ['unclear-refusal'],
      countsOf(books.results.filter(({ status }) => status !== 200)),
    ),
    {
      what: 'a tenant whose only eligible country is down gets a 503 with retry-after',
      holds: barred.length > 0 && [...barred, whileDown].every(isClear503),
      seen: `${countsOf([...barred, whileDown])}: ${whileDown.message}; retry-after ${whileDown.retryAfter} s`,
    },
    {
      what: 'a model that no allowed place serves gets a 403 no_eligible_endpoint with the reason',
      holds:
        ineligible.status === 403 &&
        ineligible.code === 'no_eligible_endpoint' &&
        /sub-processor|country/.test(ineligible.message ?? ''),
      seen: `${ineligible.status} ${ineligible.code}: ${ineligible.message}`,
    },
  ]
}

/** How often each refusal was given. */
export function countsOf(results: readonly Asked[]): string {
  const groups = Object.groupBy(results, ({ status, code, ended }) => `${status} ${code ?? ended}`)
  const counts = Object.entries(groups).map(([name, group]) => `${group?.length} × ${name}`)
  return counts.length === 0 ? 'none' : counts.join(', ')
}

/** Replayed requests of the tenant with a single place that came and ended while that place was down. */
function barredResults(books: Books): Asked[] {
  const down = faultSpans(books).find(({ how }) => how === 'down')
  const barred = tenants.findIndex(({ id }) => id === onlyBritish)
  return books.results.filter(
    ({ key, sentMs, endMs, model }) =>
      model === 'chat-large' &&
      key === barred &&
      down !== undefined &&
      sentMs > down.fromMs &&
      sentMs + endMs < down.toMs,
  )
}

function isClear503({ status, code, message, retryAfter }: Asked): boolean {
  return status === 503 && code !== null && message !== null && Number(retryAfter) >= 1
}

/** Tokens charged above what was delivered, of each cut answer. */
function cutsIn({ results, ledger }: Books): number[] {
  const rows = new Map(ledger.map((row) => [row.id, row]))
  return results.flatMap(({ status, ended, requestId, contentEvents }) => {
    const row = rows.get(requestId ?? '')
    return status === 200 && ended !== 'ok' && row !== undefined ? [row.outputTokens - contentEvents] : []
  })
}
