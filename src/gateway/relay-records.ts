import { maxCostNanoUsd, nanoUsdPerToken } from '../adapters/price-book/cost.ts'
import type { JournalRecord } from '../adapters/storage/journal-record.ts'
import type { Attempt } from '../core/events.ts'
import type { Failure } from '../core/failure.ts'
import type { RequestFacts, TokenCount } from '../core/request.ts'
import type { ServedEndpoint } from './plane.ts'
import type { RelayRequest } from './relay-request.ts'

/**
 * What the journal is told of a request on its way. `inputTokens`: the input as estimated, which a crash would charge.
 * The policy in force is that of `policyVersion`.
 */
export function admitRecord(
  { id, caller, operation, body, access, terms }: RelayRequest,
  { model, tokens }: RequestFacts,
  endpoint: ServedEndpoint,
  inputTokens: number,
  policyVersion: number,
  wallMs: number,
): JournalRecord {
  return {
    kind: 'admit',
    id,
    wallMs,
    tenant: caller.tenant.id,
    keyId: caller.key.id,
    plan: caller.tenant.plan,
    tier: terms.serviceClass.tier,
    model,
    operation,
    stream: body.stream,
    policyVersion,
    registerVersion: access.eligible.version,
    priceVersion: endpoint.priceVersion,
    holdTokens: tokens.input + tokens.output,
    inputTokens,
    holdNanoUsd: maxCostNanoUsd(tokens, access.pricesMax),
  }
}

/** One try, with the prices it is made at. */
export function attemptRecord(attempt: Attempt, endpoint: ServedEndpoint, wallMs: number): JournalRecord {
  const { prices } = endpoint
  return {
    kind: 'attempt',
    id: attempt.requestId,
    n: attempt.number,
    wallMs,
    endpoint: endpoint.id,
    provider: endpoint.providerName,
    subProcessor: endpoint.subProcessor,
    country: endpoint.country,
    upstreamModel: endpoint.upstreamModel,
    prices:
      prices === undefined
        ? null
        : {
            input: prices.input * nanoUsdPerToken,
            cachedInput: prices.cachedInput * nanoUsdPerToken,
            output: prices.output * nanoUsdPerToken,
          },
  }
}

/** A try that ended without an answer; `tokens`: what the vendor said it used all the same. */
export function outcomeRecord(
  attempt: Attempt,
  failure: Failure,
  tokens: TokenCount | undefined,
  wallMs: number,
): JournalRecord {
  return {
    kind: 'outcome',
    id: attempt.requestId,
    n: attempt.number,
    wallMs,
    failure: failure.kind,
    status: failure.status ?? null,
    tokens: tokens ?? null,
  }
}

/** A request turned away before any try. */
export function refuseRecord(
  { id, caller, body }: RelayRequest,
  status: number,
  code: string,
  wallMs: number,
): JournalRecord {
  return { kind: 'refuse', id, wallMs, tenant: caller.tenant.id, keyId: caller.key.id, model: body.model, status, code }
}
