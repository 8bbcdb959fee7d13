import { rendezvousWeight } from '../core/rendezvous.ts'
import type { Eligibility, RequestFacts } from '../core/request.ts'
import { timesOf } from '../core/service-class.ts'
import type { Arrival } from './demand.ts'
import { blockTokens } from './prefix-cache.ts'
import type { Scenario } from './scenario-schema.ts'
import type { SimulatedTenant } from './tenants.ts'

/** Without a limit from the caller the gateway holds so many output tokens against a request's limits. */
const outputTokensGuess = 4_096
/** What the gateway would tell the scheduler of a request that comes now. */
export function factsOf(
  id: string,
  arrival: Arrival,
  tenant: SimulatedTenant,
  eligible: Eligibility,
  { queue, firstByte }: Scenario['gateway'],
  nowMs: number,
): RequestFacts {
  const { tier, deadline } = arrival.demand
  const terms = tenant.classes[tier]
  const times = timesOf(deadline === undefined ? terms : { ...terms, deadlineMs: deadline }, queue, firstByte)
  const facts: RequestFacts = {
    id,
    tenant: tenant.id,
    serviceClass: terms.serviceClass,
    model: arrival.model,
    arrivedAtMs: nowMs,
    waitMsMax: times.waitMsMax,
    deadlineMs: nowMs + times.deadlineMs,
    // Of the output nobody knows more than a limit before it is there.
    tokens: { input: arrival.input, cachedInput: 0, output: outputTokensGuess },
    eligible,
  }
  return arrival.affinity === undefined ? facts : withPrompt(facts, arrival, tenant)
}

/** What the prompt shares with others. Salted by the tenant, as a host must: no tenant's cache tells of another's. */
function withPrompt(facts: RequestFacts, { affinity, blocks }: Arrival, { id, salt }: SimulatedTenant): RequestFacts {
  const common = { ...facts, affinity: `${id}/${affinity}` }
  if (blocks === undefined) return common
  return { ...common, prefix: { blockTokens, hashes: blocks.map((block) => rendezvousWeight(block, salt) | 0) } }
}
