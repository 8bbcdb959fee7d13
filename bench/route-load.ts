import { DeadlineHeap } from '../src/core/deadline-heap.ts'
import type { Endpoint, RoutingPreset } from '../src/core/endpoint.ts'
import type { Action, Attempt, SchedulerEvent } from '../src/core/events.ts'
import type { Failure } from '../src/core/failure.ts'
import { type Random, seededRandom } from '../src/core/random.ts'
import { type Eligibility, eligibilityOf } from '../src/core/request.ts'
import { Scheduler } from '../src/core/scheduler.ts'
import { classOf } from '../src/core/testing.ts'

/** Microseconds of each call, by the kind of event; and of all calls of one request together. */
export type Timings = ReadonlyMap<string, number[]>

const requestsPerRound = 2_000
const concurrencyMax = 64
/** First token 10 to 90 ms after the dispatch, end after four times that: a small model, so that a round is short. */
const meanDurationMs = 200

/** A scheduler under a load that is made of nothing but events, and a stopwatch on those that are asked for. */
class Load {
  readonly scheduler: Scheduler
  readonly random: Random
  readonly endpoints: readonly Endpoint[]
  readonly everywhere: Eligibility
  readonly timings = new Map<string, number[]>()
  nowMs = 0
  readonly #agenda = new DeadlineHeap<SchedulerEvent>()
  readonly #firstTokenMs: number[]
  readonly #cycles = new Map<number, number>()
  #requests = 0

  constructor(count: number, preset: RoutingPreset, queueLengthMax: number, seed: number) {
    this.random = seededRandom(seed)
    this.scheduler = new Scheduler({ attemptsMax: 3, queueLengthMax }, seededRandom(seed + 1))
    this.endpoints = Array.from({ length: count }, (_, index) => ({
      id: `chat/place-${index}`,
      index,
      model: 'chat',
      subProcessor: `vendor-${index % 7}`,
      country: ['GB', 'NL', 'NO', 'US', 'JP'][index % 5] as string,
      concurrencyMax,
      prices: { input: 0.1 + this.random.next(), cachedInput: 0.05, output: 0.5 + this.random.next() },
    }))
    this.#firstTokenMs = this.endpoints.map(() => 10 + 80 * this.random.next())
    this.everywhere = eligibilityOf(
      this.endpoints.map(({ index }) => index),
      count,
      1,
    )
    this.handle({ kind: 'endpoints-changed', version: 1, endpoints: this.endpoints, routing: { chat: preset } })
  }

  handle(event: SchedulerEvent, timed = false): readonly Action[] {
    const startedMs = performance.now()
    const actions = this.scheduler.handle(event, this.nowMs)
    const micros = (performance.now() - startedMs) * 1_000
    if (timed) {
      this.#note(event.kind, micros)
      this.#noteCycle(event, actions, micros)
    }
    return actions
  }

  #note(call: string, micros: number): void {
    const times = this.timings.get(call)
    if (times === undefined) this.timings.set(call, [micros])
    else times.push(micros)
  }

  /** A request's whole share: from the call that dispatched it to the one that ended it. */
  #noteCycle(event: SchedulerEvent, actions: readonly Action[], micros: number): void {
    if (event.kind === 'attempt-answering' || event.kind === 'attempt-completed') {
      const spent = (this.#cycles.get(event.attemptId) ?? Number.NaN) + micros
      this.#cycles.set(event.attemptId, spent)
      if (event.kind === 'attempt-completed' && !Number.isNaN(spent)) this.#note('arrived+answering+completed', spent)
    }
    if (event.kind !== 'request-arrived') return
    for (const action of actions) if (action.kind === 'dispatch') this.#cycles.set(action.attempt.id, micros)
  }

  /** Lets a request arrive; gives its id and the attempt that it got. */
  arrive(eligible: Eligibility, priority: number, timed = false): { id: string; attempt: Attempt | undefined } {
    const id = `req_${(++this.#requests).toString(36)}`
    const actions = this.handle(
      {
        kind: 'request-arrived',
        request: {
          id,
          tenant: 'acme',
          serviceClass: classOf(priority),
          model: 'chat',
          arrivedAtMs: this.nowMs,
          waitMsMax: 10_000,
          deadlineMs: this.nowMs + 70_000,
          tokens: { input: 1_000, cachedInput: 0, output: 300 },
          eligible,
          affinity: `acme/${Math.floor(1_000 * this.random.next())}`,
        },
      },
      timed,
    )
    const dispatched = actions.find((action) => action.kind === 'dispatch')
    return { id, attempt: dispatched?.attempt }
  }

  only(index: number): Eligibility {
    return eligibilityOf([index], this.endpoints.length, 1)
  }

  fail(eligible: Eligibility, failure: Failure): void {
    const { attempt } = this.arrive(eligible, 0)
    if (attempt !== undefined) this.handle({ kind: 'attempt-failed', attemptId: attempt.id, failure })
  }

  /**
   * A tenth of the endpoints full, one in twenty held, one in twenty ejected, the others loaded to a share between
   * `shareMin` and `shareMax`. Gives the attempts that make the load and go on until told otherwise.
   */
  occupy(shareMin: number, shareMax: number): Attempt[] {
    const attempts: Attempt[] = []
    for (const { index } of this.endpoints) {
      const only = this.only(index)
      const { attempt } = this.arrive(only, 0)
      this.nowMs += 0.01
      if (attempt !== undefined) this.handle({ kind: 'attempt-answering', attemptId: attempt.id })
      if (index % 20 === 3) this.fail(only, { kind: 'rate-limited', retryAfterMs: 3_600_000 })
      else if (index % 20 === 7) for (let i = 0; i < 5; i++) this.fail(only, { kind: 'server-error' })
      else {
        const share = index % 10 === 9 ? 1 : shareMin + (shareMax - shareMin) * this.random.next()
        for (let i = 1; i < concurrencyMax * share; i++) attempts.push(this.arrive(only, 0).attempt as Attempt)
      }
    }
    return attempts
  }

  /** The first token and the end of this attempt will come. */
  run(attempt: Attempt): void {
    const firstTokenMs = this.#firstTokenMs[attempt.endpoint.index] as number
    this.#agenda.add({ kind: 'attempt-answering', attemptId: attempt.id }, this.nowMs + firstTokenMs)
    this.#agenda.add(
      { kind: 'attempt-completed', attemptId: attempt.id, tokens: { input: 1_000, cachedInput: 0, output: 300 } },
      this.nowMs + 4 * firstTokenMs,
    )
  }

  /** Lets time pass and what falls due happen. */
  pass(ms: number): void {
    const untilMs = this.nowMs + ms
    while (this.#agenda.firstDueMs <= untilMs) {
      this.nowMs = this.#agenda.firstDueMs
      const event = this.#agenda.first
      this.#agenda.removeFirst()
      if (event !== undefined) this.handle(event, true)
    }
    this.nowMs = untilMs
  }
}

/** Requests arrive, are answered and end, at a pace that leaves every request a place at once. */
export function routingRound(preset: RoutingPreset, endpoints: number, seed: number): Timings {
  const load = new Load(endpoints, preset, 10_000, seed)
  load.occupy(0, 0.7)
  // Pinned sends all to one place: no more than it has slots for.
  const inFlight = preset === 'pinned' ? 12 : 6 * endpoints
  for (let i = 0; i < requestsPerRound; i++) {
    load.pass(meanDurationMs / inFlight)
    const { attempt } = load.arrive(load.everywhere, 10, true)
    if (attempt === undefined) throw new Error('a request of the routing load got no place at once')
    load.run(attempt)
  }
  return load.timings
}

/** Every place is full, and `waiting` requests of 24 different terms and three priorities stand in line. */
export function deepQueueRound(endpoints: number, waiting: number, seed: number): Timings {
  const load = new Load(endpoints, 'interactive', waiting, seed)
  const { random } = load
  const running = load.occupy(1, 1)
  const terms = Array.from({ length: 24 }, (_, term) => {
    const places = load.endpoints.filter(({ index }) => term === 0 || index % 5 === term % 5 || index % 7 === term % 7)
    return eligibilityOf(
      places.map(({ index }) => index),
      endpoints,
      1,
    )
  })
  const line: string[] = []
  const served = new Set<string>()
  const perform = (actions: readonly Action[]) => {
    for (const action of actions) {
      if (action.kind !== 'dispatch') continue
      served.add(action.attempt.requestId)
      running.push(action.attempt)
    }
  }
  const arrive = (timed: boolean) => {
    const { id, attempt } = load.arrive(pick(terms, random), 10 * Math.floor(3 * random.next()), timed)
    if (attempt === undefined) line.push(id)
    else running.push(attempt)
  }
  for (let i = 0; i < waiting; i++) {
    arrive(false)
    load.nowMs += 0.01
  }
  for (let i = 0; i < requestsPerRound; i++) {
    load.nowMs += 0.5
    // One ends, and one that waits gets its place; one arrives; now and then one leaves, or time is looked at.
    const [ended] = running.splice(Math.floor(random.next() * running.length), 1)
    const attemptId = (ended as Attempt).id
    perform(
      load.handle(
        { kind: 'attempt-completed', attemptId, tokens: { input: 1_000, cachedInput: 0, output: 300 } },
        true,
      ),
    )
    arrive(true)
    const leaving = pick(line, random)
    if (i % 10 === 0 && !served.has(leaving)) load.handle({ kind: 'request-cancelled', requestId: leaving }, true)
    if (i % 4 === 0) perform(load.handle({ kind: 'woken' }, true))
  }
  if (load.scheduler.snapshot(load.nowMs).waiting < 0.9 * waiting) throw new Error('the deep queue ran empty')
  return load.timings
}

function pick<T>(list: readonly T[], random: Random): T {
  return list[Math.floor(random.next() * list.length)] as T
}
