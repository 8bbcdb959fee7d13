import type { TokenPrices } from '../core/endpoint.ts'
import type { Scheduler } from '../core/scheduler.ts'
import type { Caller } from './key-table.ts'
import type { Access, Plane } from './plane.ts'

interface ExplainedPrices {
  readonly input: number
  readonly cached_input: number
  readonly output: number
}

/** One place as the explain call shows it. */
export interface ExplainedEndpoint {
  readonly endpoint: string
  readonly sub_processor: string
  readonly country: string
  /** Whether the caller's terms let it serve. */
  readonly eligible: boolean
  /** What keeps it out now: a rule of the terms, or its state. Null for those that could be tried. */
  readonly removed_by: string | null
  /** US dollars for a million tokens; null where unknown. */
  readonly usd_per_million_tokens: ExplainedPrices | null
  readonly expected_first_token_ms: number | null
  readonly in_flight: number | null
  readonly concurrency_max: number
  /** Of them, how many may be in flight as far as is learned from the vendor's refusals and first tokens. */
  readonly concurrency_learned: number | null
  /** How much of what it can take it has: 0 nothing, 1 all. A class's ceiling is compared with it. */
  readonly saturation: number | null
  readonly score: number | null
}

export interface Explanation {
  readonly object: 'spillway.explanation'
  readonly model: string
  readonly tenant: string
  readonly plan: string
  readonly register_version: number
  readonly policy_version: number
  readonly routing: string
  readonly location_allowed: boolean
  /** Null where nobody may serve it. */
  readonly expected_wait_ms: number | null
  /** Demand for the eligible places by what they can take, as a request of the plan's default tier feels it. */
  readonly pressure: number | null
  readonly candidates: readonly ExplainedEndpoint[]
}

/** Who could serve this request now, where, at what price and wait, and what rules out each other. Changes nothing. */
export function explain(
  plane: Plane,
  scheduler: Scheduler,
  caller: Caller,
  model: string,
  access: Access,
  affinity: string | undefined,
  nowMs: number,
): Explanation {
  const candidates: ExplainedEndpoint[] = []
  for (const candidate of scheduler.explain(model, access.eligible, affinity, nowMs)) {
    const endpoint = plane.endpoint(candidate.endpointId)
    if (endpoint === undefined) continue
    candidates.push({
      endpoint: endpoint.id,
      sub_processor: endpoint.subProcessor,
      country: endpoint.country,
      eligible: true,
      removed_by: candidate.removedBy ?? null,
      usd_per_million_tokens: explainedPrices(endpoint.prices),
      expected_first_token_ms: candidate.firstTokenMs,
      in_flight: candidate.inFlight,
      concurrency_max: candidate.concurrencyMax,
      concurrency_learned: candidate.concurrencyLearned,
      saturation: candidate.saturation,
      score: candidate.score ?? null,
    })
  }
  for (const exclusion of access.excluded) {
    const endpoint = plane.endpoint(exclusion.endpointId)
    if (endpoint === undefined) continue
    candidates.push({
      endpoint: endpoint.id,
      sub_processor: endpoint.subProcessor,
      country: endpoint.country,
      eligible: false,
      removed_by: `${exclusion.rule}: ${exclusion.detail}`,
      usd_per_million_tokens: explainedPrices(endpoint.prices),
      expected_first_token_ms: null,
      in_flight: null,
      concurrency_max: endpoint.concurrencyMax,
      concurrency_learned: null,
      saturation: null,
      score: null,
    })
  }
  const { serviceClass } = access.tiers.byName.default
  return {
    object: 'spillway.explanation',
    model,
    tenant: caller.tenant.id,
    plan: caller.tenant.plan,
    register_version: access.eligible.version,
    policy_version: plane.version,
    routing: access.model.routing,
    location_allowed: access.locationAllowed,
    expected_wait_ms:
      access.eligible.indices.length === 0
        ? null
        : scheduler.expectedWaitMs(model, access.eligible, serviceClass, caller.tenant.id, nowMs),
    pressure: finite(scheduler.pressure(model, access.eligible, serviceClass.priority, nowMs)),
    candidates,
  }
}

/** Null where no place can be asked at all. */
function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null
}

function explainedPrices(prices: TokenPrices | undefined): ExplainedPrices | null {
  return prices === undefined ? null : { input: prices.input, cached_input: prices.cachedInput, output: prices.output }
}
