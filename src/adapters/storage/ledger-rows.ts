import type { SQLInputValue } from 'node:sqlite'
import type { TokenCount } from '../../core/request.ts'
import { attemptCostNanoUsd, type SettleState, type TokenSource } from './journal-record.ts'
import type { Ended, JournaledAttempt, OpenRequest, Settle } from './open-requests.ts'
import type { UsageRow } from './storage.ts'

/** In the order of the values below. */
export const requestColumns =
  'id, seq, wall_ms, tenant, key_id, plan, tier, model, operation, stream, state, source, input_tokens, cached_input_tokens, output_tokens, nano_usd, attempts, endpoint, sub_processor, country, status, code, first_byte_ms, duration_ms, policy_version, register_version, price_version, hold_nano_usd'
export const attemptColumns =
  'id, n, seq, wall_ms, endpoint, sub_processor, country, upstream_model, failure, status, input_tokens, cached_input_tokens, output_tokens, nano_usd'

export function settledRow({ seq, admit, attempts }: OpenRequest, settle: Settle): SQLInputValue[] {
  const answered = attempts.find(({ record }) => record.n === settle.n)?.record
  const { tokens } = settle
  return [
    admit.id,
    seq,
    admit.wallMs,
    admit.tenant,
    admit.keyId,
    admit.plan,
    admit.tier ?? 'default',
    admit.model,
    admit.operation,
    admit.stream ? 1 : 0,
    settle.state,
    settle.source,
    tokens.input,
    tokens.cachedInput,
    tokens.output,
    settle.nanoUsd,
    attempts.length,
    answered?.endpoint ?? null,
    answered?.subProcessor ?? null,
    answered?.country ?? null,
    settle.status,
    settle.code,
    settle.firstByteMs,
    settle.durationMs,
    admit.policyVersion,
    admit.registerVersion,
    admit.priceVersion,
    admit.holdNanoUsd,
  ]
}

/** What the vendor may bill: of the attempt that answered what was settled, of another what the vendor said. */
export function attemptRow(seq: number, { record, outcome }: JournaledAttempt, settle: Settle): SQLInputValue[] {
  const billed: TokenCount | null =
    record.n === settle.n && outcome === undefined ? settle.tokens : (outcome?.tokens ?? null)
  return [
    record.id,
    record.n,
    seq,
    record.wallMs,
    record.endpoint,
    record.subProcessor,
    record.country,
    record.upstreamModel,
    outcome?.failure ?? null,
    outcome?.status ?? null,
    billed?.input ?? null,
    billed?.cachedInput ?? null,
    billed?.output ?? null,
    billed === null || record.prices === null ? null : attemptCostNanoUsd(billed, record.prices),
  ]
}

export function refusedRow({ seq, refuse }: Ended & { kind: 'refused' }): SQLInputValue[] {
  const { id, wallMs, tenant, keyId, model, status, code } = refuse
  return [
    id,
    seq,
    wallMs,
    tenant,
    keyId,
    '',
    '',
    model,
    '',
    0,
    'refused',
    null,
    0,
    0,
    0,
    0,
    0,
    null,
    null,
    null,
    status,
    code,
    null,
    null,
    0,
    0,
    '',
    0,
  ]
}

/** A row as the database gives it. */
export interface RequestTableRow {
  readonly id: string
  readonly wall_ms: number
  readonly tenant: string
  readonly key_id: string
  readonly model: string
  readonly tier: string
  readonly state: SettleState | 'refused'
  readonly source: TokenSource | null
  readonly input_tokens: number
  readonly cached_input_tokens: number
  readonly output_tokens: number
  readonly nano_usd: number
  readonly attempts: number
  readonly endpoint: string | null
  readonly sub_processor: string | null
  readonly country: string | null
  readonly status: number
  readonly code: string | null
}

export function usageRow(row: RequestTableRow): UsageRow {
  return {
    id: row.id,
    wallMs: row.wall_ms,
    tenant: row.tenant,
    keyId: row.key_id,
    model: row.model,
    tier: row.tier,
    state: row.state,
    source: row.source,
    estimated: row.source !== null && row.source !== 'upstream',
    inputTokens: row.input_tokens,
    cachedInputTokens: row.cached_input_tokens,
    outputTokens: row.output_tokens,
    nanoUsd: row.nano_usd,
    attempts: row.attempts,
    endpoint: row.endpoint,
    subProcessor: row.sub_processor,
    country: row.country,
    status: row.status,
    code: row.code,
  }
}

export function openRow({ admit, attempts }: OpenRequest): UsageRow {
  const last = attempts.at(-1)?.record
  return {
    id: admit.id,
    wallMs: admit.wallMs,
    tenant: admit.tenant,
    keyId: admit.keyId,
    model: admit.model,
    tier: admit.tier ?? 'default',
    state: 'open',
    source: null,
    estimated: false,
    inputTokens: 0,
    cachedInputTokens: 0,
    outputTokens: 0,
    nanoUsd: 0,
    attempts: attempts.length,
    endpoint: last?.endpoint ?? null,
    subProcessor: last?.subProcessor ?? null,
    country: last?.country ?? null,
    status: 0,
    code: null,
  }
}
