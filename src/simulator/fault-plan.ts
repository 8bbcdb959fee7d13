import { DeadlineHeap } from '../core/deadline-heap.ts'
import type { Clients } from './clients.ts'
import type { Source } from './demand.ts'
import type { Fleet, Pool, Refusal } from './fleet.ts'
import type { Fault, FaultPlace, Scenario } from './scenario-schema.ts'
import { Stream } from './stream.ts'

/** What the simulation does when the world changes under running requests. */
export interface FaultEffects {
  /** These replicas are gone; what ran there has failed. */
  replicasLost(replicas: readonly number[], nowMs: number): void
  /** The timing of what runs at this replica has changed. */
  replicaChanged(replica: number): void
  /** Nothing comes out of this replica until then. */
  replicaStalled(replica: number, untilMs: number, nowMs: number): void
  sourcesChanged(): void
}

type Change = (nowMs: number) => void
const minuteMs = 60_000

/** Lets the faults of a scenario happen, and spot capacity come and go: all that is neither demand nor decision. */
export class FaultPlan {
  readonly #fleet: Fleet
  readonly #clients: Clients
  readonly #sources: readonly Source[]
  readonly #effects: FaultEffects
  readonly #changes = new DeadlineHeap<Change>()
  /** Replicas that wait for launches to be possible again. */
  #unlaunched: number[] = []

  constructor(scenario: Scenario, fleet: Fleet, clients: Clients, sources: readonly Source[], effects: FaultEffects) {
    this.#fleet = fleet
    this.#clients = clients
    this.#sources = sources
    this.#effects = effects
    scenario.faults.forEach((fault, index) => {
      this.#plan(fault, new Stream(scenario.seed, `fault ${index}`))
    })
    for (const pool of fleet.pools) this.#planSpotLoss(pool, new Stream(scenario.seed, `spot ${pool.name}`))
  }

  get nextMs(): number {
    return this.#changes.firstDueMs
  }

  /** Lets the change that is due happen. */
  step(nowMs: number): void {
    const change = this.#changes.first as Change
    this.#changes.removeFirst()
    change(nowMs)
  }

  #plan(fault: Fault, stream: Stream): void {
    const endMs = fault.at + fault.for
    const from = (change: Change) => this.#changes.add(change, fault.at)
    const until = (change: Change) => this.#changes.add(change, endMs)
    switch (fault.kind) {
      case 'loss':
        from((nowMs) => {
          const pools = this.#poolsAt(fault.where)
          const lost = pools.flatMap((pool) => this.#someOf(pool, fault.share, stream))
          if (fault.silent) for (const pool of pools) pool.silences++
          this.#lose(lost, nowMs)
          until((endedMs) => {
            if (fault.silent) for (const pool of pools) pool.silences--
            for (const replica of lost) {
              if (fault.restart) this.#relaunch(replica, endedMs)
              else this.#restore(replica, endedMs)
            }
          })
        })
        return
      case 'rolling-loss':
        from(() => this.#rollOver(fault, stream))
        return
      case 'control-plane':
        this.#ban(fault)
        this.#refuse(fault, { share: fault.refused, failure: { kind: 'overloaded', status: 503 } })
        return
      case 'cannot-launch':
        this.#ban(fault)
        return
      case 'slow':
        from((nowMs) => {
          const slow = this.#poolsAt(fault.where).flatMap((pool) => this.#someOf(pool, fault.share, stream))
          this.#slowDown(slow, fault.times, nowMs)
          until((endedMs) => this.#slowDown(slow, 1 / fault.times, endedMs))
        })
        return
      case 'errors':
        this.#refuse(fault, { share: fault.share, failure: { kind: 'server-error', status: 500 } })
        return
      case 'rate-limits': {
        const retryAfter = fault.retryAfter === undefined ? {} : { retryAfterMs: fault.retryAfter }
        this.#refuse(fault, { share: fault.share, failure: { kind: 'rate-limited', status: 429, ...retryAfter } })
        return
      }
      case 'quota-cut':
        from(() => {
          for (const pool of this.#poolsAt(fault.where)) pool.quotaFactor *= fault.factor
        })
        until(() => {
          for (const pool of this.#poolsAt(fault.where)) pool.quotaFactor = 1
        })
        return
      case 'stall':
        from((nowMs) => {
          for (const pool of this.#poolsAt(fault.where))
            for (const replica of this.#someOf(pool, fault.share, stream))
              this.#effects.replicaStalled(replica, endMs, nowMs)
        })
        return
      case 'spot-wave':
        from((nowMs) => {
          const pools = this.#poolsAt(fault.where).filter(({ spec }) => spec.spot !== undefined)
          const lost = pools.flatMap((pool) => this.#someOf(pool, fault.share, stream))
          this.#lose(lost, nowMs)
          until((endedMs) => {
            for (const replica of lost) this.#relaunch(replica, endedMs)
          })
        })
        return
      case 'surge':
        from((nowMs) => this.#surge(fault.times, nowMs))
        until((nowMs) => this.#surge(1 / fault.times, nowMs))
        return
      case 'retry-storm': {
        const { retries, backoffMs } = this.#clients
        from(() => this.#setClients(fault.retries, fault.backoff))
        until(() => this.#setClients(retries, backoffMs))
        return
      }
    }
  }

  #poolsAt({ pools, subProcessor, country, region }: FaultPlace): Pool[] {
    return this.#fleet.pools.filter(
      ({ name, spec }) =>
        (pools === undefined || pools.includes(name)) &&
        (subProcessor === undefined || spec.subProcessor === subProcessor) &&
        (country === undefined || spec.country === country) &&
        (region === undefined || spec.region === region),
    )
  }

  /** A share of a pool's replicas, drawn. */
  #someOf({ spec, firstReplica }: Pool, share: number, stream: Stream): number[] {
    const all = Array.from({ length: spec.replicas }, (_, at) => firstReplica + at)
    const wanted = Math.round(share * all.length)
    for (let at = 0; at < wanted && wanted < all.length; at++) {
      const other = at + stream.below(all.length - at)
      const kept = all[at] as number
      all[at] = all[other] as number
      all[other] = kept
    }
    return all.slice(0, wanted)
  }

  #lose(replicas: readonly number[], nowMs: number): void {
    const lost = replicas.filter((replica) => this.#fleet.addOutage(replica, 1, nowMs))
    this.#effects.replicasLost(lost, nowMs)
  }

  #restore(replica: number, nowMs: number): void {
    this.#fleet.addOutage(replica, -1, nowMs)
  }

  /** Starts a replica again, as soon as one may be started. */
  #relaunch(replica: number, nowMs: number): void {
    const pool = this.#fleet.poolOf(replica)
    if (pool.launchBans > 0) this.#unlaunched.push(replica)
    else this.#changes.add((laterMs) => this.#restore(replica, laterMs), nowMs + pool.spec.coldStart)
  }

  /** Replicas go one by one over the fault's time; from its end on they are made anew, so many a minute. */
  #rollOver(fault: Extract<Fault, { kind: 'rolling-loss' }>, stream: Stream): void {
    const lost = this.#poolsAt(fault.where).flatMap((pool) => this.#someOf(pool, fault.share, stream))
    lost.forEach((replica, at) => {
      this.#changes.add((nowMs) => this.#lose([replica], nowMs), fault.at + (fault.for * at) / lost.length)
      const backMs = fault.at + fault.for + ((at + 1) * minuteMs) / fault.reimagedPerMinute
      this.#changes.add((nowMs) => this.#restore(replica, nowMs), backMs)
    })
  }

  #ban({ at, for: forMs, where }: { at: number; for: number; where: FaultPlace }): void {
    this.#changes.add(() => {
      for (const pool of this.#poolsAt(where)) pool.launchBans++
    }, at)
    this.#changes.add((nowMs) => {
      for (const pool of this.#poolsAt(where)) pool.launchBans--
      const waiting = this.#unlaunched
      this.#unlaunched = []
      for (const replica of waiting) this.#relaunch(replica, nowMs)
    }, at + forMs)
  }

  #refuse({ at, for: forMs, where }: { at: number; for: number; where: FaultPlace }, refusal: Refusal): void {
    if (refusal.share === 0) return
    this.#changes.add(() => {
      for (const pool of this.#poolsAt(where)) pool.refusals.add(refusal)
    }, at)
    this.#changes.add(() => {
      for (const pool of this.#poolsAt(where)) pool.refusals.delete(refusal)
    }, at + forMs)
  }

  #slowDown(replicas: readonly number[], times: number, nowMs: number): void {
    for (const replica of replicas) {
      this.#fleet.replicas.slowDown(replica, times, nowMs)
      this.#effects.replicaChanged(replica)
    }
  }

  #surge(times: number, nowMs: number): void {
    for (const source of this.#sources) source.surge(times, nowMs)
    this.#effects.sourcesChanged()
  }

  #setClients(retries: number, backoffMs: number): void {
    this.#clients.retries = retries
    this.#clients.backoffMs = backoffMs
  }

  /** Spot replicas are taken away now and then, each for itself. */
  #planSpotLoss(pool: Pool, stream: Stream): void {
    const { spot, replicas } = pool.spec
    if (spot === undefined || spot.lostPerHour === 0) return
    const gapMs = () => (stream.exponential() * 60 * minuteMs) / (spot.lostPerHour * replicas)
    const lose = (nowMs: number): void => {
      this.#changes.add(lose, nowMs + gapMs())
      const replica = pool.firstReplica + stream.below(replicas)
      if (!this.#fleet.replicas.isUp(replica)) return
      this.#lose([replica], nowMs)
      this.#changes.add((laterMs) => this.#relaunch(replica, laterMs), nowMs + spot.backAfter)
    }
    this.#changes.add(lose, gapMs())
  }
}
