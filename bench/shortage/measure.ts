import type { Arrival } from '../../src/simulator/demand.ts'
import { TimeSeries } from '../../src/simulator/recorder.ts'
import type { Scenario } from '../../src/simulator/scenario-schema.ts'
import type { Observer } from '../../src/simulator/simulation.ts'
import { tenantsOf } from '../../src/simulator/tenants.ts'

/** After the last request that counts there is time to serve it. */
export const tailMs = 120_000

/** One request, as its client first made it. */
export interface Offer {
  readonly arrival: Arrival
  readonly bornMs: number
}

/** Output tokens of one plan's requests. */
export interface PlanTokens {
  offered: number
  good: number
}

/**
 * What a run is judged by. A request is good where it was answered whole and its first token came as soon as its plan
 * wants it, counted from when its client asked that time: so it can be good anywhere in its chain of retries, which is
 * what the bound allows too.
 */
export class Measure implements Observer {
  readonly offers: Offer[] = []
  readonly plans = new Map<string, PlanTokens>()
  readonly offeredBySecond: TimeSeries
  readonly goodBySecond: TimeSeries
  /** Between the first asking and the first token of the answer, at the most. */
  chainMsMax = 0
  readonly #tenants: ReturnType<typeof tenantsOf>
  readonly #fromMs: number
  readonly #toMs: number

  constructor(scenario: Scenario) {
    this.#tenants = tenantsOf(scenario)
    this.#fromMs = scenario.warmUp
    this.#toMs = scenario.duration - tailMs
    this.offeredBySecond = new TimeSeries(scenario.duration, 1_000)
    this.goodBySecond = new TimeSeries(scenario.duration, 1_000)
    for (const plan of Object.keys(scenario.plans)) this.plans.set(plan, { offered: 0, good: 0 })
  }

  offered(arrival: Arrival, bornMs: number): void {
    this.offeredBySecond.add(bornMs, 1)
    if (!this.#counts(bornMs)) return
    this.offers.push({ arrival, bornMs })
    this.#tokensOf(arrival).offered += arrival.output
  }

  served(arrival: Arrival, bornMs: number, askedMs: number, firstTokenMs: number): void {
    if (firstTokenMs - askedMs > (this.#tenants[arrival.tenant]?.firstTokenGoalMs ?? 0)) return
    this.goodBySecond.add(bornMs, 1)
    if (!this.#counts(bornMs)) return
    this.chainMsMax = Math.max(this.chainMsMax, firstTokenMs - bornMs)
    this.#tokensOf(arrival).good += arrival.output
  }

  /** Of all good tokens. */
  value(valuePerToken: Readonly<Record<string, number>>): number {
    let value = 0
    for (const [plan, { good }] of this.plans) value += good * (valuePerToken[plan] ?? 0)
    return value
  }

  #counts(bornMs: number): boolean {
    return bornMs >= this.#fromMs && bornMs < this.#toMs
  }

  #tokensOf({ tenant }: Arrival): PlanTokens {
    return this.plans.get(this.#tenants[tenant]?.plan ?? '') as PlanTokens
  }
}
