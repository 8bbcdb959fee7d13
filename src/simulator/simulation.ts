import { DeadlineHeap } from '../core/deadline-heap.ts'
import type { Endpoint, RoutingPreset } from '../core/endpoint.ts'
import { errorCodes } from '../core/errors.ts'
import type { Action, Attempt, Rejection, SchedulerEvent } from '../core/events.ts'
import type { Failure } from '../core/failure.ts'
import type { Random } from '../core/random.ts'
import type { Eligibility } from '../core/request.ts'
import { Scheduler, type SchedulerPolicy } from '../core/scheduler.ts'
import { type ServiceTier, serviceTiers } from '../core/service-class.ts'
import { Agenda } from './agenda.ts'
import { type ClientRetry, Clients } from './clients.ts'
import { type Arrival, type DemandFiles, type Source, sourcesOf } from './demand.ts'
import { Digest } from './digest.ts'
import { FaultPlan } from './fault-plan.ts'
import { Fleet } from './fleet.ts'
import { Invariants, type Violation } from './invariants.ts'
import type { LatencyModel } from './latency.ts'
import { Recorder } from './recorder.ts'
import { factsOf } from './request-facts.ts'
import { Requests, stage } from './requests.ts'
import type { Scenario } from './scenario-schema.ts'
import { Stream } from './stream.ts'
import { type SimulatedTenant, type TenantTerms, tenantsOf } from './tenants.ts'

/** The law: which of the endpoints may serve whom. The register's, handed in. */
export type Law = (
  endpoints: readonly Endpoint[],
  version: number,
) => (terms: TenantTerms, model: string, substitutes: boolean) => Eligibility

/** What decides in a run: the scheduler, or in a comparison something simpler in its place. */
export type Decider = Pick<Scheduler, 'handle' | 'nextWakeMs'>

/** Is told what clients asked for and what they got. A request is one, however often its client asked for it. */
export interface Observer {
  /** A client asks for the first time. */
  offered(arrival: Arrival, bornMs: number): void
  /** A whole answer. `askedMs`: when the client asked the time that was answered. */
  served(arrival: Arrival, bornMs: number, askedMs: number, firstTokenMs: number): void
}

/** What a scenario does not hold itself. */
export interface World {
  readonly law: Law
  readonly files: DemandFiles
  /** By name of the pool. */
  readonly latencies: Readonly<Record<string, LatencyModel>>
  /** Makes what decides; the scheduler where it is absent. */
  readonly decider?: (policy: SchedulerPolicy, random: Random) => Decider
  readonly observer?: Observer
}

/** What a run came to, before it is put into words. */
export interface Outcome {
  readonly scenario: Scenario
  readonly tenants: readonly SimulatedTenant[]
  readonly fleet: Fleet
  readonly recorder: Recorder
  readonly digest: string
  readonly events: number
  readonly decisions: number
  readonly violations: readonly Violation[]
  /** Share of the slots in use, by pool and bin. */
  readonly utilisation: readonly (readonly number[])[]
  readonly openAtEnd: number
}

/** One law and one fleet for a whole run. */
const lawVersion = 1

/** Runs a scenario from its first request to its end. The same scenario and seed give the same outcome everywhere. */
export function simulate(scenario: Scenario, world: World): Outcome {
  return new Simulation(scenario, world).run()
}

/**
 * A host of the scheduler, as the gateway is one: it tells it what happens and does what it says. The world behind it
 * is made up; what the scheduler decides is not.
 */
class Simulation {
  readonly #scenario: Scenario
  readonly #tenants: readonly SimulatedTenant[]
  readonly #requests = new Requests()
  readonly #fleet: Fleet
  readonly #scheduler: Decider
  readonly #observer: Observer | undefined
  readonly #sources: readonly Source[]
  readonly #clients: Clients
  readonly #faults: FaultPlan
  readonly #recorder: Recorder
  readonly #invariants: Invariants
  readonly #digest = new Digest()
  readonly #agenda: Agenda
  /** By model, then by tenant. */
  readonly #eligible = new Map<string, readonly Eligibility[]>()
  readonly #failures = new DeadlineHeap<{ slot: number; attemptId: number; failure: Failure }>()
  readonly #utilisation: number[][]
  /** Entities of the agenda after the replicas and the sources. */
  readonly #entity: Readonly<Record<'retries' | 'patience' | 'failures' | 'faults' | 'wake' | 'bins', number>>
  readonly #silentMsMax: number
  #nowMs = 0
  #events = 0
  #decisions = 0
  #waiting = 0

  constructor(scenario: Scenario, { law, files, latencies, decider, observer }: World) {
    this.#observer = observer
    this.#scenario = scenario
    this.#tenants = tenantsOf(scenario)
    this.#fleet = new Fleet(scenario, latencies, this.#requests)
    this.#sources = sourcesOf(scenario, this.#tenants, files)
    this.#clients = new Clients(scenario)
    this.#recorder = new Recorder(
      this.#tenants.map(({ plan }) => plan),
      serviceTiers.filter((tier) => scenario.demand.some((demand) => demand.tier === tier)),
      scenario.duration,
      scenario.warmUp,
    )
    this.#silentMsMax = scenario.gateway.streamIdle
    const { attemptsMax, queueLengthMax } = scenario.gateway
    const policy: SchedulerPolicy = { attemptsMax, queueLengthMax }
    const random = new Stream(scenario.seed, 'scheduler')
    this.#scheduler = decider?.(policy, random) ?? new Scheduler(policy, random)
    const eligibleFor = law(this.#fleet.endpoints, lawVersion)
    for (const [model, { substitutes }] of Object.entries(scenario.models))
      this.#eligible.set(
        model,
        this.#tenants.map(({ terms }) => eligibleFor(terms, model, substitutes)),
      )
    this.#invariants = new Invariants(this.#fleet.endpoints, attemptsMax, scenario.warmUp)
    const first = this.#fleet.replicas.count + this.#sources.length
    this.#entity = {
      retries: first,
      patience: first + 1,
      failures: first + 2,
      faults: first + 3,
      wake: first + 4,
      bins: first + 5,
    }
    this.#agenda = new Agenda(first + 6)
    this.#utilisation = this.#fleet.pools.map(() => [])
    this.#faults = new FaultPlan(scenario, this.#fleet, this.#clients, this.#sources, {
      replicasLost: (replicas, nowMs) => this.#replicasLost(replicas, nowMs),
      replicaChanged: (replica) => this.#replicaChanged(replica),
      replicaStalled: (replica, untilMs, nowMs) => this.#replicaStalled(replica, untilMs, nowMs),
      sourcesChanged: () => this.#sourcesChanged(),
    })
  }

  run(): Outcome {
    const { duration, warmUp, models } = this.#scenario
    const routing = Object.fromEntries(
      Object.entries(models).map(([name, model]): [string, RoutingPreset] => [name, model.routing]),
    )
    this.#tell({ kind: 'endpoints-changed', version: lawVersion, endpoints: this.#fleet.endpoints, routing })
    this.#sourcesChanged()
    this.#agenda.set(this.#entity.faults, this.#faults.nextMs)
    this.#agenda.set(this.#entity.bins, this.#recorder.binMs)
    let warm = warmUp === 0
    while (this.#agenda.firstMs < duration) {
      const entity = this.#agenda.first
      this.#nowMs = this.#agenda.firstMs
      if (!warm && this.#nowMs >= warmUp) {
        warm = true
        this.#fleet.countUpTo(warmUp, true)
      }
      this.#events++
      this.#happens(entity)
    }
    this.#nowMs = duration
    this.#fleet.countUpTo(duration, false)
    this.#invariants.ended(this.#requests.open)
    this.#checkStays()
    return {
      scenario: this.#scenario,
      tenants: this.#tenants,
      fleet: this.#fleet,
      recorder: this.#recorder,
      digest: this.#digest.text,
      events: this.#events,
      decisions: this.#decisions,
      violations: this.#invariants.violations,
      utilisation: this.#utilisation,
      openAtEnd: this.#requests.open,
    }
  }

  #happens(entity: number): void {
    const { replicas } = this.#fleet
    const source = entity - replicas.count
    if (source < 0) return this.#replicaSteps(entity)
    if (source < this.#sources.length) {
      const from = this.#sources[source] as Source
      const bornMs = from.nextMs
      const arrival = from.take()
      this.#agenda.set(entity, from.nextMs)
      this.#recorder.offered(arrival.tenant, arrival.demand.tier, arrival.input + arrival.output, bornMs)
      this.#observer?.offered(arrival, bornMs)
      return this.#arrives({ arrival, bornMs, clientTry: 1 })
    }
    switch (entity) {
      case this.#entity.retries: {
        const retry = this.#clients.takeRetry()
        this.#agenda.set(entity, this.#clients.nextRetryMs)
        return this.#arrives(retry)
      }
      case this.#entity.patience: {
        const slot = this.#clients.impatient.first
        // Who was first when this was set may have been answered since.
        if (slot >= 0 && this.#patienceEndMs(slot) <= this.#nowMs) this.#losesPatience(slot)
        return this.#watchPatience()
      }
      case this.#entity.failures: {
        const { slot, attemptId, failure } = this.#failures.first as {
          slot: number
          attemptId: number
          failure: Failure
        }
        this.#failures.removeFirst()
        this.#agenda.set(entity, this.#failures.firstDueMs)
        if (this.#requests.attemptId[slot] === attemptId) this.#attemptFails(slot, failure)
        return
      }
      case this.#entity.faults:
        this.#faults.step(this.#nowMs)
        this.#agenda.set(entity, this.#faults.nextMs)
        return
      case this.#entity.wake:
        return this.#tell({ kind: 'woken' })
      default:
        this.#binEnds()
        this.#agenda.set(entity, this.#nowMs + this.#recorder.binMs)
    }
  }

  // ---- requests -------------------------------------------------------------------------------------------------

  #arrives({ arrival, bornMs, clientTry }: ClientRetry): void {
    const requests = this.#requests
    const nowMs = this.#nowMs
    const slot = requests.add()
    const tenant = this.#tenants[arrival.tenant] as SimulatedTenant
    requests.arrival[slot] = arrival
    requests.bornMs[slot] = bornMs
    requests.arrivedMs[slot] = nowMs
    requests.tenant[slot] = arrival.tenant
    requests.input[slot] = arrival.input
    requests.output[slot] = arrival.output
    requests.clientTry[slot] = clientTry
    this.#waits(slot)
    this.#clients.impatient.add(slot)
    if (this.#clients.impatient.first === slot) this.#watchPatience()
    const id = requests.ids[slot] as string
    const eligible = this.#eligible.get(arrival.model)?.[arrival.tenant] as Eligibility
    const facts = factsOf(id, arrival, tenant, eligible, this.#scenario.gateway, nowMs)
    this.#invariants.arrived(slot, facts)
    this.#tell({ kind: 'request-arrived', request: facts })
  }

  #patienceEndMs(slot: number): number {
    return (this.#requests.arrivedMs[slot] as number) + this.#clients.patienceMs
  }

  #watchPatience(): void {
    const slot = this.#clients.impatient.first
    this.#agenda.set(this.#entity.patience, slot < 0 ? Number.POSITIVE_INFINITY : this.#patienceEndMs(slot))
  }

  #losesPatience(slot: number): void {
    const requests = this.#requests
    if (requests.stage[slot] === stage.waiting) this.#waitsNoMore(slot)
    const tokens = this.#leaveReplica(slot)
    this.#recorder.gaveUp(requests.tenant[slot] as number, this.#tierOf(slot), tokens, this.#nowMs)
    this.#invariants.requestEnded(slot)
    // Freed only after the scheduler knows, or a new request would take the slot while the old one is still open there.
    this.#tell({ kind: 'request-cancelled', requestId: requests.ids[slot] as string })
    this.#ends(slot, undefined, true)
  }

  /** The request is over for the gateway; its client may ask again. */
  #ends(slot: number, retryAfterMs: number | undefined, mayRetry: boolean): void {
    const requests = this.#requests
    const retry = {
      arrival: requests.arrival[slot] as Arrival,
      bornMs: requests.bornMs[slot] as number,
      clientTry: requests.clientTry[slot] as number,
    }
    const tenant = requests.tenant[slot] as number
    requests.attemptId[slot] = 0
    this.#clients.impatient.remove(slot)
    requests.remove(slot)
    if (mayRetry && this.#clients.failed(retry, retryAfterMs, this.#nowMs)) {
      this.#agenda.set(this.#entity.retries, this.#clients.nextRetryMs)
      return
    }
    this.#recorder.lost(tenant, retry.arrival.demand.tier, retry.bornMs)
  }

  #tierOf(slot: number): ServiceTier {
    return (this.#requests.arrival[slot] as Arrival).demand.tier
  }

  #waits(slot: number): void {
    this.#requests.stage[slot] = stage.waiting
    this.#waiting++
    this.#recorder.gap.waits(this.#requests.tenant[slot] as number)
  }

  #waitsNoMore(slot: number): void {
    this.#waiting--
    this.#recorder.gap.waitsNoMore(this.#requests.tenant[slot] as number)
  }

  // ---- the scheduler --------------------------------------------------------------------------------------------

  #tell(event: SchedulerEvent): void {
    for (const action of this.#scheduler.handle(event, this.#nowMs)) this.#perform(action)
    // What it could not finish in one call is due at once, not in the past.
    const wakeMs = Math.max(this.#nowMs, this.#scheduler.nextWakeMs() ?? Number.POSITIVE_INFINITY)
    if (wakeMs !== this.#agenda.dueMs(this.#entity.wake)) this.#agenda.set(this.#entity.wake, wakeMs)
  }

  #perform(action: Action): void {
    this.#digest.add(this.#nowMs)
    switch (action.kind) {
      case 'dispatch':
        return this.#dispatched(Number(action.attempt.requestId), action.attempt)
      case 'reject':
        return this.#rejected(Number(action.requestId), action.rejection)
      case 'abort':
        // The one whose client left is out of its replica already.
        this.#digest.add(-action.attemptId)
        return
      case 'endpoint-state':
        this.#digest.add(action.state.length)
        return
    }
  }

  #dispatched(slot: number, attempt: Attempt): void {
    const requests = this.#requests
    const nowMs = this.#nowMs
    const tenant = requests.tenant[slot] as number
    this.#decisions++
    this.#digest.add(requests.sequence[slot] as number)
    this.#digest.add(attempt.endpoint.index)
    this.#invariants.dispatched(slot, attempt, nowMs)
    if (!this.#mayProcess(tenant, attempt.endpoint)) this.#recorder.residencyBreaches++
    this.#waitsNoMore(slot)
    requests.stage[slot] = stage.asked
    requests.attemptId[slot] = attempt.id
    requests.dispatchedMs[slot] = nowMs
    requests.endpoint[slot] = attempt.endpoint.index
    requests.replica[slot] = -1
    const tokens = (requests.input[slot] as number) + (requests.output[slot] as number)
    const waitMs = nowMs - (requests.arrivedMs[slot] as number)
    this.#recorder.dispatched(tenant, this.#tierOf(slot), attempt.number === 1, waitMs, tokens, nowMs)
    const answer = this.#fleet.ask(attempt.endpoint.index, slot, nowMs)
    const limitMs = nowMs + this.#scenario.gateway.firstByte
    if (answer.kind === 'failed') return this.#failLater(slot, answer.failure, answer.atMs)
    requests.replica[slot] = answer.replica
    if (answer.firstTokenDueMs > limitMs) this.#failLater(slot, { kind: 'timed-out' }, limitMs)
    this.#replicaChanged(answer.replica)
  }

  #failLater(slot: number, failure: Failure, atMs: number): void {
    this.#failures.add({ slot, attemptId: this.#requests.attemptId[slot] as number, failure }, atMs)
    this.#agenda.set(this.#entity.failures, this.#failures.firstDueMs)
  }

  #rejected(slot: number, { code, retryAfterMs }: Rejection): void {
    this.#decisions++
    this.#digest.add(-(this.#requests.sequence[slot] as number))
    this.#waitsNoMore(slot)
    this.#recorder.refused(this.#requests.tenant[slot] as number, this.#tierOf(slot), code, this.#nowMs)
    this.#invariants.requestEnded(slot)
    this.#ends(slot, retryAfterMs, errorCodes[code].retry)
  }

  /** Looked at apart from the law that was handed in, so that a mistake in one shows in the other. */
  #mayProcess(tenant: number, { country, subProcessor }: Endpoint): boolean {
    const { countries, subProcessors } = (this.#tenants[tenant] as SimulatedTenant).terms
    return (
      (countries === 'any' || countries.includes(country)) &&
      (subProcessors === 'any' || subProcessors.includes(subProcessor))
    )
  }

  // ---- replicas -------------------------------------------------------------------------------------------------

  #replicaSteps(replica: number): void {
    const requests = this.#requests
    const nowMs = this.#nowMs
    const { slot, whole } = this.#fleet.replicas.step(replica, nowMs)
    this.#replicaChanged(replica)
    const attemptId = requests.attemptId[slot] as number
    if (!whole) {
      requests.stage[slot] = stage.answering
      this.#clients.impatient.remove(slot)
      requests.firstTokenMs[slot] = nowMs
      this.#invariants.answering(slot, nowMs - (requests.dispatchedMs[slot] as number))
      return this.#tell({ kind: 'attempt-answering', attemptId })
    }
    this.#leaves(slot, replica)
    const tokens = {
      input: requests.input[slot] as number,
      cachedInput: requests.cachedInput[slot] as number,
      output: requests.output[slot] as number,
    }
    const tenant = requests.tenant[slot] as number
    const { networkMs, firstTokenGoalMs } = this.#tenants[tenant] as SimulatedTenant
    const bornMs = requests.bornMs[slot] as number
    const firstTokenMs = (requests.firstTokenMs[slot] as number) - bornMs + networkMs
    this.#recorder.served(tenant, this.#tierOf(slot), tokens, firstTokenMs, firstTokenGoalMs, bornMs)
    this.#observer?.served(
      requests.arrival[slot] as Arrival,
      bornMs,
      requests.arrivedMs[slot] as number,
      (requests.firstTokenMs[slot] as number) + networkMs,
    )
    this.#invariants.requestEnded(slot)
    requests.attemptId[slot] = 0
    // Whatever the scheduler starts now may have the slot: it is done with this request before it takes another.
    this.#tell({ kind: 'attempt-completed', attemptId, tokens })
    requests.remove(slot)
  }

  #replicaChanged(replica: number): void {
    this.#agenda.set(replica, this.#fleet.replicas.nextMs(replica))
  }

  /** Takes a request out of the replica where it is, if it is at one. Gives the tokens it had. */
  #leaveReplica(slot: number): number {
    const replica = this.#requests.replica[slot] as number
    const at = this.#requests.stage[slot]
    if (replica < 0 || (at !== stage.asked && at !== stage.answering)) return 0
    const tokens = this.#fleet.replicas.remove(replica, slot, this.#nowMs)
    this.#leaves(slot, replica)
    this.#replicaChanged(replica)
    return tokens
  }

  #leaves(slot: number, replica: number): void {
    this.#fleet.left(replica, this.#nowMs)
    this.#invariants.stayed(this.#requests.dispatchedMs[slot] as number, this.#nowMs)
  }

  /** Those who are still at a replica have stayed until now. */
  #checkStays(): void {
    const { slots, replica, stage: stages, dispatchedMs } = this.#requests
    for (let slot = 0; slot < slots; slot++)
      if ((stages[slot] === stage.asked || stages[slot] === stage.answering) && (replica[slot] as number) >= 0)
        this.#invariants.stayed(dispatchedMs[slot] as number, this.#nowMs)
    this.#invariants.countedInFlight(this.#fleet.pools.reduce((sum, { inFlightMs }) => sum + inFlightMs, 0))
  }

  #attemptFails(slot: number, failure: Failure): void {
    const requests = this.#requests
    const wasAnswering = requests.stage[slot] === stage.answering
    const attemptId = requests.attemptId[slot] as number
    const tokens = this.#leaveReplica(slot)
    this.#recorder.attemptFailed(failure.kind)
    requests.attemptId[slot] = 0
    requests.replica[slot] = -1
    if (!wasAnswering) {
      requests.cachedInput[slot] = 0
      this.#invariants.failed(slot, failure, this.#nowMs)
      this.#waits(slot)
      return this.#tell({ kind: 'attempt-failed', attemptId, failure })
    }
    this.#recorder.cut(requests.tenant[slot] as number, this.#tierOf(slot), tokens, this.#nowMs)
    this.#invariants.requestEnded(slot)
    this.#tell({ kind: 'attempt-failed', attemptId, failure })
    this.#ends(slot, undefined, true)
  }

  #replicasLost(replicas: readonly number[], nowMs: number): void {
    for (const replica of replicas) {
      const { prompts, sequences } = this.#fleet.replicas.requestsAt(replica)
      for (const slot of [...prompts, ...sequences]) this.#failLater(slot, { kind: 'reset' }, nowMs)
    }
  }

  /** Whoever hears nothing for too long gives up on the replica, before it goes on. */
  #replicaStalled(replica: number, untilMs: number, nowMs: number): void {
    const { prompts, sequences } = this.#fleet.replicas.requestsAt(replica)
    this.#fleet.replicas.stall(replica, untilMs, nowMs)
    this.#replicaChanged(replica)
    for (const slot of prompts) {
      const limitMs = (this.#requests.dispatchedMs[slot] as number) + this.#scenario.gateway.firstByte
      const dueMs = this.#fleet.replicas.firstTokenDueMs(replica, slot) ?? 0
      if (dueMs > limitMs) this.#failLater(slot, { kind: 'timed-out' }, Math.max(nowMs, limitMs))
    }
    if (untilMs - nowMs > this.#silentMsMax)
      for (const slot of sequences) this.#failLater(slot, { kind: 'timed-out' }, nowMs + this.#silentMsMax)
  }

  // ---- time -----------------------------------------------------------------------------------------------------

  #sourcesChanged(): void {
    this.#sources.forEach((source, index) => {
      this.#agenda.set(this.#fleet.replicas.count + index, source.nextMs)
    })
  }

  #binEnds(): void {
    this.#recorder.gap.passTo(this.#nowMs)
    this.#recorder.waiting.add(this.#nowMs - this.#recorder.binMs, this.#waiting)
    for (const { index, inFlight, spec } of this.#fleet.pools)
      this.#utilisation[index]?.push(inFlight / (spec.replicas * spec.concurrencyMax))
  }
}
