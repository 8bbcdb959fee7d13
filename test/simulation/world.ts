import type { Endpoint, RoutingPreset } from '../../src/core/endpoint.ts'
import type { Action, Attempt } from '../../src/core/events.ts'
import type { Failure } from '../../src/core/failure.ts'
import type { AttemptId, RequestId } from '../../src/core/ids.ts'
import type { QuotaSetting } from '../../src/core/quota.ts'
import { seededRandom } from '../../src/core/random.ts'
import { type Eligibility, eligibilityOf } from '../../src/core/request.ts'
import { Scheduler } from '../../src/core/scheduler.ts'
import type { ServiceClass } from '../../src/core/service-class.ts'
import { classOf } from '../../src/core/testing.ts'
import { VirtualHost } from './virtual-host.ts'
import { Witness } from './witness.ts'

/** How a cloud behaves for a while. */
type Mode = 'fine' | 'slow' | 'resets' | 'flaky' | 'busy' | 'stalls' | 'cuts' | 'refuses' | 'unreachable' | 'lost'
const modes: readonly Mode[] = [
  ...(['fine', 'fine', 'fine', 'fine', 'slow', 'resets', 'resets', 'flaky', 'flaky'] as const),
  ...(['busy', 'busy', 'stalls', 'cuts', 'refuses', 'unreachable', 'lost'] as const),
]

/** Two that share a priority, one with a floor, two that leave room. */
const classes = [
  classOf(0, { saturationMax: 0.5 }),
  classOf(10, { saturationMax: 0.8 }),
  ...[20, 30].map((priority) => classOf(priority)),
  classOf(10, { name: 'other/default', weight: 2 }),
  classOf(0, { name: 'sure/default', floor: 0.25 }),
]

interface Tenant {
  readonly id: string
  readonly serviceClass: ServiceClass
  countries: readonly string[]
  subProcessors: readonly string[]
}

interface Flight {
  readonly tenant: Tenant
  readonly model: string
  attempt: Attempt | undefined
}

const firstByteMs = 3_000
const countries = ['GB', 'NL', 'NO', 'US']
const subProcessors = ['microsoft', 'google-cloud', 'aws']

/**
 * Clouds with their faults, tenants with their terms, reloads, probes and leaving callers, all drawn from one seed; in
 * front of them the real scheduler, and beside it a witness that knows the rules and not the code.
 */
export class World {
  readonly witness: Witness
  readonly #random: ReturnType<typeof seededRandom>
  readonly #host: VirtualHost
  readonly #models: readonly string[]
  readonly #tenants: readonly Tenant[]
  readonly #modes = new Map<string, Mode>()
  readonly #flights = new Map<RequestId, Flight>()
  readonly #endpointOf = new Map<AttemptId, Endpoint>()
  /** Asks to be explained now and then: that must change nothing. */
  readonly #curious: boolean
  readonly #waitMsMax: number
  #words = new Map<string, Eligibility>()
  #endpoints: readonly Endpoint[] = []
  #dropped: readonly Endpoint[] = []
  #version = 0
  #requests = 0
  digest = 0x811c9dc5

  constructor(seed: number, curious: boolean) {
    this.#random = seededRandom(seed)
    this.#curious = curious
    const policy = { attemptsMax: 1 + this.#int(4), queueLengthMax: this.#pick([0, 3, 20, 60]) }
    const scheduler = new Scheduler(policy, seededRandom(seed + 1))
    const late = seededRandom(seed + 2)
    this.#waitMsMax = this.#pick([0, 40, 200, 1_000, 1_000, 3_000])
    this.#models = ['chat', 'code', 'embed'].slice(0, 1 + this.#int(3))
    this.#tenants = Array.from({ length: 2 + this.#int(5) }, (_, n) => ({
      id: `tenant-${n}`,
      serviceClass: this.#pick(classes),
      countries: this.#some(countries),
      subProcessors: this.#some(subProcessors),
    }))
    this.witness = new Witness(policy, scheduler, (tenant, endpoint) => this.#allows(tenant, endpoint))
    this.#host = new VirtualHost(
      scheduler,
      {
        dispatched: (attempt) => this.#dispatched(attempt),
        rejected: (requestId) => this.#flights.delete(requestId),
        aborted: (attemptId) => this.#endpointOf.delete(attemptId),
        handled: (event, actions) => {
          this.witness.handled(event, actions, this.#host.nowMs)
          for (const action of actions) this.#note(action)
        },
      },
      () => (late.next() < 0.2 ? Math.floor(40 * late.next()) : 0),
    )
  }

  /** Half a minute to four minutes of trouble, then time to end in peace. */
  run(): void {
    const untilMs = 30_000 + 1_000 * this.#int(210)
    const everyMs = this.#between(50, 400)
    this.#reload()
    for (let ms = 0; ms < untilMs; ms += this.#between(2_000, 40_000)) this.#host.at(ms, () => this.#trouble())
    let atMs = 0
    while (atMs < untilMs) {
      // Bursts and lulls.
      const pace = this.#pick([0.1, 1, 1, 3])
      for (let n = this.#int(12); n >= 0; n--) {
        atMs += everyMs * pace * 2 * this.#random.next()
        this.#host.at(atMs, () => this.#arrive())
      }
    }
    this.#host.runUntil(untilMs)
    for (const endpoint of this.#endpoints) this.#modes.set(endpoint.id, 'fine')
    this.#host.runUntil(untilMs + 60_000)
    this.witness.finish()
  }

  get nowMs(): number {
    return this.#host.nowMs
  }

  // ---- callers --------------------------------------------------------------------------------------------------

  #arrive(): void {
    const tenant = this.#pick(this.#tenants)
    const model = this.#pick(this.#models)
    const id = `req_${++this.#requests}`
    const { nowMs } = this.#host
    this.#flights.set(id, { tenant, model, attempt: undefined })
    const asks = this.#chance(0.2)
    if (asks && this.#curious) {
      this.#host.scheduler.explain(model, this.#word(tenant, model), 'x', nowMs)
      this.#host.scheduler.expectedWaitMs(model, this.#word(tenant, model), tenant.serviceClass, tenant.id, nowMs)
    }
    this.#host.tell({
      kind: 'request-arrived',
      request: {
        id,
        tenant: tenant.id,
        serviceClass: tenant.serviceClass,
        model,
        arrivedAtMs: nowMs,
        waitMsMax: this.#waitMsMax,
        deadlineMs:
          nowMs + this.#waitMsMax + this.#pick([0, 500, firstByteMs, 3 * firstByteMs, 60_000, 60_000, 60_000]),
        tokens: { input: 10 + this.#int(this.#chance(0.1) ? 3_000 : 300), cachedInput: 0, output: this.#int(400) },
        eligible: this.#word(tenant, model),
        ...(this.#chance(0.7) && { affinity: `${tenant.id}/${this.#int(5)}` }),
      },
    })
    if (this.#chance(0.1)) this.#host.after(this.#between(0, 3_000), () => this.#leave(id))
  }

  #leave(id: RequestId): void {
    const flight = this.#flights.get(id)
    // Sometimes the host says so of one that has ended already.
    if (flight === undefined && this.#chance(0.5)) return
    this.#flights.delete(id)
    this.#host.tell({ kind: 'request-cancelled', requestId: id })
  }

  // ---- clouds ---------------------------------------------------------------------------------------------------

  #dispatched(attempt: Attempt): void {
    const flight = this.#flights.get(attempt.requestId)
    if (flight === undefined) throw new Error(`dispatch for ${attempt.requestId}, which nobody waits for`)
    flight.attempt = attempt
    this.#endpointOf.set(attempt.id, attempt.endpoint)
    // The journal takes its time.
    this.#host.after(this.#between(0, 4), () => this.#send(attempt, flight))
  }

  #send(attempt: Attempt, { tenant }: Flight): void {
    if (!this.#endpointOf.has(attempt.id)) return
    const { endpoint } = attempt
    const now = this.#endpoints.find(({ id }) => id === endpoint.id)
    if (now === undefined || !isSamePlace(now, endpoint) || !this.#allows(tenant.id, now)) {
      this.#fail(attempt, { kind: 'withdrawn' })
      return
    }
    const slow = this.#between(20, 400)
    const soon = this.#between(1, 20)
    switch (this.#modes.get(endpoint.id) ?? 'fine') {
      case 'fine':
        return this.#answer(attempt, slow, false)
      case 'slow':
        return this.#answer(attempt, 10 * slow, false)
      case 'flaky':
        return this.#chance(0.5)
          ? this.#answer(attempt, slow, this.#chance(0.3))
          : this.#failAfter(attempt, soon, { kind: this.#pick(['reset', 'server-error', 'broken']) })
      case 'cuts':
        return this.#answer(attempt, slow, true)
      case 'resets':
        return this.#failAfter(attempt, soon, { kind: 'reset', ...(this.#chance(0.1) && { stale: true as const }) })
      case 'busy':
        if (this.#chance(0.5)) return this.#answer(attempt, slow, false)
        return this.#failAfter(attempt, soon, {
          kind: this.#chance(0.8) ? 'rate-limited' : 'overloaded',
          ...(this.#chance(0.8) && { retryAfterMs: this.#pick([0, 300, 2_000, 20_000]) }),
        })
      case 'stalls':
        return this.#failAfter(attempt, firstByteMs, { kind: 'timed-out' })
      case 'refuses':
        return this.#chance(0.5)
          ? this.#failAfter(attempt, soon, { kind: 'unauthorized' })
          : this.#end(attempt, soon, () => this.#host.tell({ kind: 'attempt-refused', attemptId: attempt.id }))
      case 'unreachable':
        return this.#failAfter(attempt, soon, { kind: 'unreachable' })
      case 'lost':
        return this.#failAfter(attempt, soon, { kind: 'missing-model' })
    }
  }

  #answer(attempt: Attempt, firstTokenMs: number, cut: boolean): void {
    const totalMs = firstTokenMs + this.#between(10, 1_500)
    const streams = cut || this.#chance(0.7)
    if (streams)
      this.#host.after(firstTokenMs, () => {
        if (this.#endpointOf.has(attempt.id)) this.#host.tell({ kind: 'attempt-answering', attemptId: attempt.id })
      })
    const tokens = { input: this.#int(600), cachedInput: 0, output: this.#int(200) }
    this.#end(attempt, totalMs, () =>
      this.#host.tell(
        cut
          ? { kind: 'attempt-failed', attemptId: attempt.id, failure: { kind: 'reset' } }
          : { kind: 'attempt-completed', attemptId: attempt.id, tokens },
      ),
    )
  }

  #failAfter(attempt: Attempt, ms: number, failure: Failure): void {
    this.#host.after(ms, () => {
      if (this.#endpointOf.has(attempt.id)) this.#fail(attempt, failure)
    })
  }

  #fail(attempt: Attempt, failure: Failure): void {
    this.#endpointOf.delete(attempt.id)
    this.#host.tell({ kind: 'attempt-failed', attemptId: attempt.id, failure })
  }

  #end(attempt: Attempt, ms: number, tell: () => void): void {
    this.#host.after(ms, () => {
      if (!this.#endpointOf.delete(attempt.id)) return
      this.#flights.delete(attempt.requestId)
      tell()
    })
  }

  // ---- the operator ---------------------------------------------------------------------------------------------

  #trouble(): void {
    for (const { id } of this.#endpoints) if (this.#chance(0.5)) this.#modes.set(id, this.#pick(modes))
    if (this.#chance(0.3)) {
      const endpoint = this.#pick(this.#endpoints)
      const reachable = this.#chance(0.4)
      this.#host.tell({ kind: 'endpoint-probed', endpointId: endpoint.id, reachable })
      if (!reachable && this.#chance(0.8))
        this.#host.after(this.#between(100, 20_000), () =>
          this.#host.tell({ kind: 'endpoint-probed', endpointId: endpoint.id, reachable: true }),
        )
    }
    if (this.#chance(0.2)) {
      this.#reload()
      // Somebody has changed his mind: what was dropped comes back while attempts at it run.
      if (this.#chance(0.5)) this.#host.after(this.#between(50, 1_000), () => this.#reload())
    }
  }

  /** Endpoints come, go, move and change size; terms change; then everybody who is open is told. */
  #reload(): void {
    const kept = this.#endpoints.filter(() => this.#chance(0.85))
    const returning = this.#dropped.filter(() => this.#chance(0.7))
    this.#dropped = this.#endpoints.filter((endpoint) => !kept.includes(endpoint))
    const next = new Map<string, Endpoint>([...kept, ...returning].map((endpoint) => [endpoint.id, endpoint]))
    for (const model of this.#models) {
      const count = 1 + this.#int(6)
      for (let n = 0; n < count; n++) {
        const id = `${model}/${n}`
        if (next.has(id) && this.#chance(0.8)) continue
        next.set(id, {
          ...(next.get(id) ?? { subProcessor: this.#pick(subProcessors), country: this.#pick(countries) }),
          id,
          index: 0,
          model,
          concurrencyMax: 1 + this.#int(5),
          prices: { input: this.#random.next(), cachedInput: 0, output: this.#random.next() },
          ...(this.#chance(0.1) && { country: this.#pick(countries) }),
          ...this.#quota(),
          ...(this.#chance(0.2) && { kvTokens: 500 + this.#int(5_000) }),
        })
      }
    }
    const shuffled = [...next.values()].map((endpoint) => ({ endpoint, at: this.#random.next() }))
    shuffled.sort((a, b) => a.at - b.at)
    this.#endpoints = shuffled.map(({ endpoint }, index) => ({ ...endpoint, index }))
    this.#version++
    this.#words = new Map()
    for (const tenant of this.#tenants) {
      if (this.#chance(0.2)) tenant.countries = this.#some(countries)
      if (this.#chance(0.2)) tenant.subProcessors = this.#some(subProcessors)
    }
    const routing = Object.fromEntries(
      this.#models.map((model) => [
        model,
        this.#pick<RoutingPreset>(['interactive', 'cheapest', 'spill-over', 'pinned']),
      ]),
    )
    this.#host.tell({ kind: 'endpoints-changed', version: this.#version, endpoints: this.#endpoints, routing })
    for (const [requestId, { tenant, model }] of [...this.#flights]) {
      if (!this.#flights.has(requestId)) continue
      this.#host.tell({ kind: 'eligibility-changed', requestId, eligible: this.#word(tenant, model) })
    }
  }

  #quota(): QuotaSetting {
    return {
      ...(this.#chance(0.15) && { tokensPerMinute: 1_000 + this.#int(100_000) }),
      ...(this.#chance(0.1) && { requestsPerMinute: 5 + this.#int(300) }),
      ...(this.#chance(0.3) && { keepsCharge: true }),
    }
  }

  #allows(tenantId: string, { country, subProcessor }: Endpoint): boolean {
    const tenant = this.#tenants.find(({ id }) => id === tenantId)
    return tenant?.countries.includes(country) === true && tenant.subProcessors.includes(subProcessor)
  }

  /** Interned, as the register does it. */
  #word(tenant: Tenant, model: string): Eligibility {
    const key = JSON.stringify([tenant.countries, tenant.subProcessors, model])
    let word = this.#words.get(key)
    if (word === undefined) {
      const allowed = this.#endpoints.filter(
        (endpoint) => endpoint.model === model && this.#allows(tenant.id, endpoint),
      )
      word = eligibilityOf(
        allowed.map(({ index }) => index),
        this.#endpoints.length,
        this.#version,
      )
      this.#words.set(key, word)
    }
    return word
  }

  // ---- chance ---------------------------------------------------------------------------------------------------

  #int(below: number): number {
    return Math.floor(this.#random.next() * below)
  }

  #between(from: number, to: number): number {
    return from + (to - from) * this.#random.next()
  }

  #chance(share: number): boolean {
    return this.#random.next() < share
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#int(list.length)] as T
  }

  /** Mostly many, so that most tenants have a choice. */
  #some(list: readonly string[]): readonly string[] {
    return list.filter(() => this.#chance(0.75))
  }

  /** FNV-1a over what every action says. */
  #note(action: Action): void {
    const text = `${this.#host.nowMs}${JSON.stringify(action)}`
    for (let i = 0; i < text.length; i++) this.digest = Math.imul(this.digest ^ text.charCodeAt(i), 0x01000193)
  }
}

function isSamePlace(a: Endpoint, b: Endpoint): boolean {
  return a.country === b.country && a.subProcessor === b.subProcessor
}
