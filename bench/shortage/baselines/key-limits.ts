import type { RequestFacts } from '../../../src/core/request.ts'
import { leastConnections } from './least-connections.ts'
import type { Strategy } from './place.ts'

const windowMs = 60_000

/** Each key may ask so often a minute, whoever else asks and whatever is left; what passes goes where least is to do. */
export class KeyLimits implements Strategy {
  readonly pick = leastConnections.pick
  readonly #perMinute: (tenant: string) => number
  readonly #used = new Map<string, { count: number; untilMs: number }>()

  constructor(perMinute: (tenant: string) => number) {
    this.#perMinute = perMinute
  }

  admits({ tenant }: RequestFacts, nowMs: number): boolean {
    const known = this.#used.get(tenant)
    const minute = known === undefined || known.untilMs <= nowMs ? { count: 0, untilMs: nowMs + windowMs } : known
    this.#used.set(tenant, minute)
    return ++minute.count <= this.#perMinute(tenant)
  }
}
