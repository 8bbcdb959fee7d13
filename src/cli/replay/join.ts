import type { ReplayResult } from './sender.ts'

/** One line of a cloud's own log. */
export interface CloudLogLine {
  readonly requestId: string | null
  readonly cloud: string
  readonly country: string
  readonly status: number
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly completionTokens: number
  readonly startMs: number
  readonly endMs: number
  readonly ended: 'complete' | 'client-left' | 'reset' | 'down' | 'rejected'
  readonly slotsInUse: number
  readonly slotsTotal: number
}

export interface LedgerLine {
  readonly id: string
  readonly tenant: string
  readonly state: string
  readonly estimated: boolean
  readonly inputTokens: number
  readonly cachedInputTokens: number
  readonly outputTokens: number
}

export interface JoinTenant {
  readonly id: string
  readonly countries: readonly string[] | 'any'
  readonly subProcessors: readonly string[] | 'any'
}

/** A cloud in a country, and when it was made to fail. */
export interface JoinPlace {
  readonly cloud: string
  readonly country: string
  readonly slots: number
  readonly faults: readonly { readonly fromMs: number; readonly toMs: number }[]
}

export type ViolationKind =
  | 'failed-with-room'
  | 'cut-wrongly'
  | 'outside-terms'
  | 'wrong-tokens'
  | 'outside-window'
  | 'not-flagged'
  | 'not-in-ledger'
  | 'doubled'

export interface Violation {
  readonly kind: ViolationKind
  readonly requestId: string
  readonly detail: string
}

export interface JoinInput {
  readonly results: readonly ReplayResult[]
  /** Tenant id by key index. */
  readonly tenantOfKey: readonly string[]
  readonly tenants: readonly JoinTenant[]
  readonly places: readonly JoinPlace[]
  readonly cloudLog: readonly CloudLogLine[]
  readonly ledger: readonly LedgerLine[]
  /** Tokens that a cut answer may be charged above what the cloud made. */
  readonly windowTokens: number
}

export interface Joined {
  readonly checked: {
    readonly results: number
    readonly cloudLines: number
    readonly complete: number
    readonly cut: number
    readonly failedBeforeFirstByte: number
  }
  readonly violations: readonly Violation[]
}

/**
 * Lays three books side by side: what clients saw, what the clouds logged by themselves, what the ledger says. Every
 * disagreement is a violation.
 */
export function joinLedgers(input: JoinInput): Joined {
  const { results, cloudLog, ledger } = input
  const violations: Violation[] = []
  const report = (kind: ViolationKind, requestId: string, detail: string) =>
    violations.push({ kind, requestId, detail })
  const tenants = new Map(input.tenants.map((tenant) => [tenant.id, tenant]))
  const served = grouped(cloudLog)
  const rows = new Map<string, LedgerLine>()
  for (const row of ledger) {
    if (rows.has(row.id)) report('doubled', row.id, 'stands twice in the ledger')
    rows.set(row.id, row)
  }
  const tenantOf = new Map<string, JoinTenant | undefined>()
  for (const { requestId, key } of results)
    if (requestId !== null) tenantOf.set(requestId, tenants.get(input.tenantOfKey[key] ?? ''))
  // Also requests whose client saw no answer: the ledger knows whose they were.
  for (const row of ledger) if (!tenantOf.has(row.id)) tenantOf.set(row.id, tenants.get(row.tenant))

  for (const line of cloudLog) {
    const id = line.requestId ?? '(none)'
    const tenant = tenantOf.get(id)
    if (tenant === undefined) report('outside-terms', id, `${line.cloud} in ${line.country} served a request of nobody`)
    else if (!lawful(tenant, line))
      report('outside-terms', id, `${tenant.id} does not allow ${line.cloud} in ${line.country}`)
  }

  let complete = 0
  let cut = 0
  let failed = 0
  for (const result of results) {
    const id = result.requestId ?? `#${result.index}`
    const row = rows.get(id)
    const lines = served.get(id) ?? []
    const begun = result.status === 200
    if (!begun) {
      failed++
      const room = placeWithRoom(result, tenants.get(input.tenantOfKey[result.key] ?? ''), input)
      if (room !== undefined)
        report(
          'failed-with-room',
          id,
          `${result.code ?? result.ended} while ${room.cloud} in ${room.country} had a free slot`,
        )
      continue
    }
    if (row === undefined) {
      report('not-in-ledger', id, 'an answer was begun that the ledger does not know')
      continue
    }
    if (result.ended === 'ok') {
      complete++
      const line = lines.find(({ ended }) => ended === 'complete')
      if (line === undefined) report('wrong-tokens', id, 'a whole answer that no cloud says it gave')
      else if (
        row.state !== 'ok' ||
        row.inputTokens !== line.promptTokens ||
        row.cachedInputTokens !== line.cachedTokens ||
        row.outputTokens !== line.completionTokens
      ) {
        report(
          'wrong-tokens',
          id,
          `ledger ${row.state} ${row.inputTokens}/${row.cachedInputTokens}/${row.outputTokens}, cloud ${line.promptTokens}/${line.cachedTokens}/${line.completionTokens}`,
        )
      }
      continue
    }
    cut++
    if (result.errorEvents !== 1 || result.done)
      report('cut-wrongly', id, `${result.errorEvents} error events${result.done ? ' and [DONE]' : ''}`)
    const last = lines.at(-1)
    const most = (last?.completionTokens ?? 0) + input.windowTokens
    if (row.outputTokens < result.contentEvents || row.outputTokens > most)
      report('outside-window', id, `charged ${row.outputTokens}, delivered ${result.contentEvents}, at most ${most}`)
    if (!row.estimated && row.state !== 'ok') report('not-flagged', id, 'a cut answer that is not marked as estimated')
  }
  return {
    checked: { results: results.length, cloudLines: cloudLog.length, complete, cut, failedBeforeFirstByte: failed },
    violations,
  }
}

function grouped(cloudLog: readonly CloudLogLine[]): Map<string, CloudLogLine[]> {
  const byId = new Map<string, CloudLogLine[]>()
  for (const line of [...cloudLog].sort((a, b) => a.startMs - b.startMs)) {
    const id = line.requestId ?? ''
    byId.set(id, [...(byId.get(id) ?? []), line])
  }
  return byId
}

function lawful(
  { countries, subProcessors }: JoinTenant,
  place: { readonly cloud: string; readonly country: string },
): boolean {
  return (
    (countries === 'any' || countries.includes(place.country)) &&
    (subProcessors === 'any' || subProcessors.includes(place.cloud))
  )
}

/** An eligible place, not failing at any time of the request's life, that had a free slot all through it. */
function placeWithRoom(
  result: ReplayResult,
  tenant: JoinTenant | undefined,
  { places, cloudLog }: JoinInput,
): JoinPlace | undefined {
  if (tenant === undefined) return undefined
  const fromMs = result.sentMs
  const toMs = result.sentMs + result.endMs
  return places.find((place) => {
    if (!lawful(tenant, place) || place.faults.some((fault) => fault.fromMs < toMs && fault.toMs > fromMs)) return false
    const running = cloudLog.filter(
      (line) =>
        line.cloud === place.cloud &&
        line.country === place.country &&
        line.ended !== 'rejected' &&
        line.startMs < toMs &&
        line.endMs > fromMs,
    )
    return running.length < place.slots
  })
}
