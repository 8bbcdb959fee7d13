import type { Endpoint } from '../core/endpoint.ts'
import type { Failure } from '../core/failure.ts'
import type { LatencyModel } from './latency.ts'
import { roundTripMs } from './network.ts'
import { PrefixCache } from './prefix-cache.ts'
import { Replicas } from './replicas.ts'
import type { Requests } from './requests.ts'
import type { PoolSpec, Scenario } from './scenario-schema.ts'
import { Stream } from './stream.ts'

/** A refusal of a share of requests, while it lasts. */
export interface Refusal {
  readonly share: number
  readonly failure: Failure
}

/** One pool of equal replicas at one vendor in one place, and how it stands. */
export interface Pool {
  readonly index: number
  readonly name: string
  readonly spec: PoolSpec
  readonly firstReplica: number
  /** From the gateway and back. */
  readonly networkMs: number
  readonly stream: Stream
  readonly refusals: Set<Refusal>
  /** Faults that keep replicas from starting. */
  launchBans: number
  /** Faults in which lost replicas do not even refuse. */
  silences: number
  quotaFactor: number
  quotaTokens: number
  quotaAtMs: number
  /** Requests in flight and replicas that work, and the sums of both over time, for utilisation and cost. */
  inFlight: number
  up: number
  inFlightMs: number
  upMs: number
  countedAtMs: number
}

/** What asking an endpoint leads to. */
export type Answer =
  | { readonly kind: 'taken'; readonly replica: number; readonly firstTokenDueMs: number }
  | { readonly kind: 'failed'; readonly failure: Failure; readonly atMs: number }

/** A refusal takes this long beside the way there and back. */
const refusalMs = 5

/** The vendors' side of the world: every pool, its replicas, and what they answer. Decides nothing about routing. */
export class Fleet {
  readonly pools: readonly Pool[]
  readonly endpoints: readonly Endpoint[]
  readonly replicas: Replicas
  readonly #requests: Requests
  readonly #poolOfReplica: Int32Array
  readonly #poolOfEndpoint: readonly Pool[]
  /** The first replica of each endpoint, and how many it has. */
  readonly #firstReplica: Int32Array
  readonly #replicaCount: Int32Array
  readonly #caches: readonly (PrefixCache | undefined)[]
  readonly #connectMs: number

  /** `latencies[name]`: of the pool of that name. */
  constructor(scenario: Scenario, latencies: Readonly<Record<string, LatencyModel>>, requests: Requests) {
    this.#requests = requests
    this.#connectMs = scenario.gateway.connect
    let firstReplica = 0
    this.pools = Object.entries(scenario.pools).map(([name, spec], index) => {
      const networkMs = spec.roundTrip ?? roundTripMs(scenario.gateway.country, spec.country) ?? 0
      const pool: Pool = {
        index,
        name,
        spec,
        firstReplica,
        networkMs,
        stream: new Stream(scenario.seed, `pool ${name}`),
        refusals: new Set(),
        launchBans: 0,
        silences: 0,
        quotaFactor: 1,
        quotaTokens: spec.tokensPerMinute ?? 0,
        quotaAtMs: 0,
        inFlight: 0,
        up: spec.replicas,
        inFlightMs: 0,
        upMs: 0,
        countedAtMs: 0,
      }
      firstReplica += spec.replicas
      return pool
    })
    this.#poolOfReplica = new Int32Array(firstReplica)
    const kinds = this.pools.flatMap(({ index, name, spec, firstReplica: from }) => {
      this.#poolOfReplica.fill(index, from, from + spec.replicas)
      const kind = { latency: latencies[name] as LatencyModel, concurrencyMax: spec.concurrencyMax }
      return new Array<typeof kind>(spec.replicas).fill(kind)
    })
    this.replicas = new Replicas(kinds, requests)
    this.#caches = kinds.map((_, replica) => {
      const { cacheTokens } = this.poolOf(replica).spec
      return cacheTokens > 0 ? new PrefixCache(cacheTokens) : undefined
    })
    const places = this.pools.flatMap((pool) => placesOf(pool))
    this.endpoints = places.map(({ endpoint }, index) => ({ ...endpoint, index }))
    this.#poolOfEndpoint = places.map(({ pool }) => pool)
    this.#firstReplica = Int32Array.from(places, ({ firstReplica: from }) => from)
    this.#replicaCount = Int32Array.from(places, ({ replicas }) => replicas)
  }

  poolOf(replica: number): Pool {
    return this.pools[this.#poolOfReplica[replica] as number] as Pool
  }

  poolOfEndpoint(endpoint: number): Pool {
    return this.#poolOfEndpoint[endpoint] as Pool
  }

  /** Asks an endpoint to serve a request. */
  ask(endpoint: number, slot: number, nowMs: number): Answer {
    const pool = this.poolOfEndpoint(endpoint)
    const refused = (failure: Failure): Answer => ({
      kind: 'failed',
      failure,
      atMs: nowMs + pool.networkMs + refusalMs,
    })
    if (pool.up === 0 || !this.#anyUp(endpoint)) {
      const atMs = pool.silences > 0 ? nowMs + this.#connectMs : nowMs + pool.networkMs
      return { kind: 'failed', failure: { kind: 'unreachable' }, atMs }
    }
    for (const { share, failure } of pool.refusals) if (pool.stream.next() < share) return refused(failure)
    const waitMs = this.#quotaWaitMs(pool, slot, nowMs)
    if (waitMs > 0) return refused({ kind: 'rate-limited', status: 429, retryAfterMs: Math.ceil(waitMs) })
    const replica = this.#replicaFor(endpoint, pool.stream)
    if (replica === undefined) return refused({ kind: 'overloaded', status: 503 })
    const { arrival, cachedInput, input } = this.#requests
    const prompt = arrival[slot]?.blocks
    const cache = this.#caches[replica]
    // At least the last token is read, or there would be nothing to answer to.
    if (prompt !== undefined && cache !== undefined)
      cachedInput[slot] = Math.min(cache.use(prompt), Math.max(0, (input[slot] as number) - 1))
    this.#count(pool, nowMs)
    pool.inFlight++
    return { kind: 'taken', replica, firstTokenDueMs: this.replicas.begin(replica, slot, pool.networkMs, nowMs) }
  }

  /** A request has left its replica, whole or not. */
  left(replica: number, nowMs: number): void {
    const pool = this.poolOf(replica)
    this.#count(pool, nowMs)
    pool.inFlight--
  }

  /** One reason more or less for a replica to be out of reach. Gives true where it went down or came up by it. */
  addOutage(replica: number, change: 1 | -1, nowMs: number): boolean {
    const wasUp = this.replicas.isUp(replica)
    this.replicas.addOutage(replica, change)
    const isUp = this.replicas.isUp(replica)
    if (wasUp === isUp) return false
    const pool = this.poolOf(replica)
    this.#count(pool, nowMs)
    pool.up += isUp ? 1 : -1
    if (!isUp) this.#caches[replica]?.clear()
    return true
  }

  /** Counts utilisation and cost up to now, from there on. */
  countUpTo(nowMs: number, reset: boolean): void {
    for (const pool of this.pools) {
      this.#count(pool, nowMs)
      if (!reset) continue
      pool.inFlightMs = 0
      pool.upMs = 0
    }
  }

  #count(pool: Pool, nowMs: number): void {
    const ms = nowMs - pool.countedAtMs
    pool.inFlightMs += pool.inFlight * ms
    pool.upMs += pool.up * ms
    pool.countedAtMs = nowMs
  }

  #anyUp(endpoint: number): boolean {
    const first = this.#firstReplica[endpoint] as number
    const count = this.#replicaCount[endpoint] as number
    for (let replica = first; replica < first + count; replica++) if (this.replicas.isUp(replica)) return true
    return false
  }

  /** How the vendor spreads load: the emptier of two at random, or any that has room. */
  #replicaFor(endpoint: number, stream: Stream): number | undefined {
    const first = this.#firstReplica[endpoint] as number
    const count = this.#replicaCount[endpoint] as number
    const { replicas } = this
    const takes = (replica: number) => replicas.isUp(replica) && replicas.hasRoom(replica)
    if (count === 1) return takes(first) ? first : undefined
    const one = first + stream.below(count)
    const other = first + stream.below(count)
    const emptier = replicas.inFlight(other) < replicas.inFlight(one) ? other : one
    if (takes(emptier)) return emptier
    for (let i = 1; i < count; i++) {
      const next = first + ((emptier - first + i) % count)
      if (takes(next)) return next
    }
    return undefined
  }

  /** Takes a request's tokens off the vendor's quota. Gives how long it has to wait instead, where they do not suffice. */
  #quotaWaitMs(pool: Pool, slot: number, nowMs: number): number {
    const { tokensPerMinute } = pool.spec
    if (tokensPerMinute === undefined) return 0
    const perMs = (tokensPerMinute * pool.quotaFactor) / 60_000
    const full = tokensPerMinute * pool.quotaFactor
    pool.quotaTokens = Math.min(full, pool.quotaTokens + (nowMs - pool.quotaAtMs) * perMs)
    pool.quotaAtMs = nowMs
    const wanted = Math.min(full, (this.#requests.input[slot] as number) + (this.#requests.output[slot] as number))
    if (pool.quotaTokens >= wanted && full > 0) {
      pool.quotaTokens -= wanted
      return 0
    }
    return perMs === 0 ? 60_000 : (wanted - pool.quotaTokens) / perMs
  }
}

/** The endpoints that a pool is to the scheduler, without their index. */
function placesOf(
  pool: Pool,
): { pool: Pool; firstReplica: number; replicas: number; endpoint: Omit<Endpoint, 'index'> }[] {
  const { name, spec, firstReplica } = pool
  const common = {
    model: spec.model,
    subProcessor: spec.subProcessor,
    country: spec.country,
    ...(spec.usdPerMillionTokens && { prices: spec.usdPerMillionTokens }),
  }
  const { replicas, concurrencyMax } = spec
  if (spec.balancedBy === 'vendor') {
    const endpoint = { id: `${spec.model}/${name}`, ...common, concurrencyMax: replicas * concurrencyMax }
    return [{ pool, firstReplica, replicas, endpoint }]
  }
  return Array.from({ length: replicas }, (_, at) => ({
    pool,
    firstReplica: firstReplica + at,
    replicas: 1,
    endpoint: { id: `${spec.model}/${name}#${at + 1}`, ...common, concurrencyMax },
  }))
}
