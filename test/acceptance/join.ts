import type { FaultChange, ServedRequest } from '../../demo/cloud-log.ts'
import type { UsageRow } from '../../src/adapters/storage/storage.ts'
import type { ReplayResult } from '../../src/cli/replay/sender.ts'
import { percentilesOf } from '../../src/cli/replay/summary.ts'
import { FreeSlots, type Place } from './free-slots.ts'

/** A request as its client saw it end. */
export interface Asked extends ReplayResult {
  readonly model: string
}

/** What a tenant agreed to, as the check itself wrote it down. */
export interface TenantTerms {
  readonly id: string
  readonly countries: readonly string[] | 'any'
  readonly subProcessors: readonly string[] | 'any'
}

/** Three accounts of the same requests, each kept by another party, and what the check knows beforehand. */
export interface Books {
  /** By the clients. */
  readonly results: readonly Asked[]
  /** By the clouds. */
  readonly served: readonly ServedRequest[]
  readonly faults: readonly FaultChange[]
  /** By the gateway. */
  readonly ledger: readonly UsageRow[]
  /** Whose key each index of `results[].key` is. */
  readonly tenants: readonly TenantTerms[]
  readonly places: readonly Place[]
  /** Tokens that a cut answer may be charged above what was delivered (promise I3). */
  readonly windowTokens: number
}

export const violationKinds = {
  'failed-with-room': 'failed before its first byte while an eligible place had a free slot',
  'unclear-refusal': 'was refused without a code, or told to come back without being told when',
  'cut-wrongly': 'was cut without exactly one error event at its end',
  'outside-terms': 'reached a cloud or country outside its tenant’s terms',
  'wrong-tokens': 'is whole, but ledger, cloud and client do not count the same tokens',
  'wrong-place': 'stands in the ledger under another place or tenant than its own',
  'outside-window': 'was cut and is charged outside the window of promise I3',
  'not-flagged': 'was cut and is not marked as estimated in the ledger',
  'not-in-ledger': 'is missing from the ledger',
  doubled: 'stands twice in a book that should hold it once',
  'left-open': 'has not been settled',
  unasked: 'stands in the ledger or in a cloud’s log, but no client asked for it',
} as const

export type ViolationKind = keyof typeof violationKinds

export interface Violation {
  readonly kind: ViolationKind
  readonly requestId: string
  readonly detail: string
}

export interface Joined {
  readonly checked: {
    readonly results: number
    readonly whole: number
    readonly cut: number
    readonly failedBeforeFirstByte: number
    readonly cloudLines: number
    readonly ledgerRows: number
  }
  /** How long a slot had to be free, ms, to count against a failure. */
  readonly newsMs: number
  readonly violations: readonly Violation[]
}

/** Lays the books side by side, request by request. Every disagreement is a violation. */
export function join(books: Books): Joined {
  return new Join(books).run()
}

class Join {
  readonly #books: Books
  readonly #violations: Violation[] = []
  readonly #newsMs: number
  readonly #freeSlots: FreeSlots
  readonly #rows = new Map<string, UsageRow>()
  readonly #served: ReadonlyMap<string, readonly ServedRequest[]>
  readonly #asked = new Map<string, TenantTerms>()

  constructor(books: Books) {
    this.#books = books
    this.#served = Map.groupBy(books.served, ({ requestId }) => requestId ?? '')
    this.#newsMs = newsMsOf(books.results, this.#served)
    this.#freeSlots = new FreeSlots(books.places, books.served, books.faults, this.#newsMs)
  }

  run(): Joined {
    const { results, served, ledger } = this.#books
    this.#indexClients()
    this.#indexLedger()
    for (const line of served) this.#checkTerms(line)
    const counts = { whole: 0, cut: 0, failedBeforeFirstByte: 0 }
    for (const result of results) {
      if (result.status !== 200) {
        counts.failedBeforeFirstByte++
        this.#checkFailed(result)
      } else if (result.ended === 'ok') {
        counts.whole++
        this.#checkWhole(result)
      } else {
        counts.cut++
        this.#checkCut(result)
      }
    }
    return {
      checked: { results: results.length, ...counts, cloudLines: served.length, ledgerRows: ledger.length },
      newsMs: this.#newsMs,
      violations: this.#violations,
    }
  }

  #report(kind: ViolationKind, requestId: string, detail: string): void {
    this.#violations.push({ kind, requestId, detail })
  }

  #indexClients(): void {
    for (const { requestId, key } of this.#books.results) {
      if (requestId === null) continue
      if (this.#asked.has(requestId)) this.#report('doubled', requestId, 'two clients were given the same id')
      this.#asked.set(requestId, this.#books.tenants[key] as TenantTerms)
    }
  }

  #indexLedger(): void {
    for (const row of this.#books.ledger) {
      if (this.#rows.has(row.id)) this.#report('doubled', row.id, 'stands twice in the ledger')
      this.#rows.set(row.id, row)
      const tenant = this.#asked.get(row.id)
      if (tenant === undefined) this.#report('unasked', row.id, `the ledger has it for ${row.tenant}`)
      else if (tenant.id !== row.tenant)
        this.#report('wrong-place', row.id, `asked by ${tenant.id}, in the ledger for ${row.tenant}`)
      if (row.state === 'open') this.#report('left-open', row.id, `is still open after all answers have ended`)
    }
  }

  /** Whatever became of it there: a request that was refused or reset was seen by that cloud all the same. */
  #checkTerms(line: ServedRequest): void {
    const id = line.requestId ?? '(no id)'
    const tenant = this.#asked.get(id)
    const place = `${line.cloud} in ${line.country}`
    if (tenant === undefined) this.#report('unasked', id, `${place} was sent it`)
    else if (!isLawful(tenant, line)) this.#report('outside-terms', id, `${tenant.id} does not allow ${place}`)
  }

  #checkFailed(result: Asked): void {
    const { status, code, retryAfter, sentMs, endMs, key, model } = result
    const id = idOf(result)
    const tenant = this.#books.tenants[key] as TenantTerms
    const mayServe = (place: Place) => place.models.includes(model) && isLawful(tenant, place)
    const room = this.#freeSlots.find(sentMs + endMs, mayServe)
    if (room !== undefined)
      this.#report('failed-with-room', id, `${code ?? result.ended} while ${room.cloud} in ${room.country} had room`)
    const mayComeBack = status === 429 || status === 503 || status === 504
    if (code === null) this.#report('unclear-refusal', id, `status ${status} (${result.ended}) without a code`)
    else if (mayComeBack && retryAfter === null)
      this.#report('unclear-refusal', id, `${status} ${code} without retry-after`)
    if (result.requestId !== null && !this.#rows.has(id)) this.#report('not-in-ledger', id, `was refused as ${code}`)
  }

  #checkWhole(result: Asked): void {
    const id = idOf(result)
    const row = this.#rows.get(id)
    if (row === undefined) return this.#report('not-in-ledger', id, 'a whole answer was given')
    const whole = this.#served.get(id)?.filter(({ ended }) => ended === 'complete') ?? []
    const [line] = whole
    if (line === undefined) return this.#report('wrong-tokens', id, 'no cloud says that it gave a whole answer')
    if (whole.length > 1) this.#report('doubled', id, `${whole.length} clouds gave a whole answer`)
    const counts = [
      `ledger ${row.inputTokens}/${row.cachedInputTokens}/${row.outputTokens}`,
      `cloud ${line.promptTokens}/${line.cachedTokens}/${line.completionTokens}`,
    ]
    if (
      row.state !== 'ok' ||
      row.estimated ||
      row.inputTokens !== line.promptTokens ||
      row.cachedInputTokens !== line.cachedTokens ||
      row.outputTokens !== line.completionTokens ||
      result.contentEvents !== line.contentEventsSent
    )
      this.#report('wrong-tokens', id, `${row.state}: ${counts.join(', ')}, client ${result.contentEvents} events`)
    this.#checkPlace(id, row, line)
  }

  #checkCut(result: Asked): void {
    const id = idOf(result)
    const { errorEvents, done, ended, contentEvents } = result
    if (ended !== 'cut-with-error-event' || errorEvents !== 1 || done)
      this.#report('cut-wrongly', id, `${ended}: ${errorEvents} error events${done ? ' and [DONE]' : ''}`)
    const row = this.#rows.get(id)
    if (row === undefined) return this.#report('not-in-ledger', id, 'an answer was begun')
    const last = this.#served.get(id)?.findLast(({ status }) => status === 200)
    const most = contentEvents + this.#books.windowTokens
    const made = last?.completionTokens ?? 0
    if (row.outputTokens < contentEvents || row.outputTokens > most || contentEvents > made)
      this.#report('outside-window', id, `charged ${row.outputTokens}, delivered ${contentEvents}, made ${made}`)
    if (row.state !== 'partial' || !row.estimated) this.#report('not-flagged', id, `stands as ${row.state}`)
    if (last !== undefined) this.#checkPlace(id, row, last)
  }

  #checkPlace(id: string, row: UsageRow, line: ServedRequest): void {
    if (row.subProcessor !== line.cloud || row.country !== line.country)
      this.#report('wrong-place', id, `${row.subProcessor}/${row.country}, served by ${line.cloud}/${line.country}`)
  }
}

/** On a machine with nothing else to do, news is there in less; on one that has too much, more is no excuse. */
const newsMsMin = 50
const newsMsMax = 500

/**
 * How long news takes from a cloud through the gateway to a client: within so long of its end at its cloud, 99 of 100
 * whole answers had ended at their clients.
 */
function newsMsOf(results: readonly Asked[], served: ReadonlyMap<string, readonly ServedRequest[]>): number {
  const delaysMs = results.flatMap(({ requestId, ended, sentMs, endMs }) => {
    const line = ended === 'ok' ? served.get(requestId ?? '')?.find((one) => one.ended === 'complete') : undefined
    return line === undefined ? [] : [sentMs + endMs - line.endMs]
  })
  return Math.min(newsMsMax, Math.max(newsMsMin, Math.ceil(percentilesOf(delaysMs)?.p99 ?? 0)))
}

function idOf({ requestId, index }: ReplayResult): string {
  return requestId ?? `#${index}`
}

/** The check's own reading of the terms: the gateway's is what is checked. */
function isLawful({ countries, subProcessors }: TenantTerms, line: { cloud: string; country: string }): boolean {
  return (
    (countries === 'any' || countries.includes(line.country)) &&
    (subProcessors === 'any' || subProcessors.includes(line.cloud))
  )
}
