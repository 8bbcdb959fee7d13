import type { RoutingPreset } from '../../src/core/endpoint.ts'
import type { ErrorCode } from '../../src/core/errors.ts'
import type { Attempt } from '../../src/core/events.ts'
import type { Failure } from '../../src/core/failure.ts'
import { type Random, seededRandom } from '../../src/core/random.ts'
import { eligibilityOf } from '../../src/core/request.ts'
import { Scheduler } from '../../src/core/scheduler.ts'
import { classOf } from '../../src/core/testing.ts'
import { VirtualHost } from './virtual-host.ts'

/** What a place makes of one attempt. */
export type Outcome =
  | { readonly firstTokenMs: number; readonly totalMs: number }
  | { readonly failsAfterMs: number; readonly failure: Failure }

export interface PlaceSetting {
  readonly name: string
  readonly slots: number
  readonly vendor?: string
  behave(nowMs: number, random: Random): Outcome
}

/** One request and what became of it. */
export interface Told {
  readonly arrivedMs: number
  endedMs: number
  /** When its answer began; undefined where it never did. */
  firstTokenMs: number | undefined
  place: string | undefined
  refusedWith: ErrorCode | undefined
  tries: number
}

/** A scheduler before a few places whose behaviour a test scripts, under traffic that it asks for, in virtual time. */
export class Day {
  readonly told: Told[] = []
  readonly attempts: { readonly atMs: number; readonly place: string }[] = []
  readonly host: VirtualHost
  readonly #random: Random
  readonly #places: readonly PlaceSetting[]
  readonly #open = new Map<string, Told>()

  constructor(places: readonly PlaceSetting[], preset: RoutingPreset = 'interactive', seed = 1) {
    this.#random = seededRandom(seed)
    this.#places = places
    const scheduler = new Scheduler({ attemptsMax: 3, queueLengthMax: 10_000 }, seededRandom(seed + 1))
    this.host = new VirtualHost(scheduler, {
      dispatched: (attempt) => this.#dispatched(attempt),
      rejected: (id, { code }) => this.#ended(id, (told) => (told.refusedWith = code)),
    })
    const endpoints = places.map(({ name, slots, vendor }, index) => ({
      id: name,
      index,
      model: 'chat',
      subProcessor: vendor ?? name,
      country: 'NL',
      concurrencyMax: slots,
    }))
    this.host.tell({ kind: 'endpoints-changed', version: 1, endpoints, routing: { chat: preset } })
  }

  /** Requests come at random, so many a second on average, and wait at most ten seconds each. */
  traffic(perSecond: number, fromMs: number, untilMs: number): void {
    const everywhere = eligibilityOf(
      this.#places.map((_, index) => index),
      this.#places.length,
      1,
    )
    const next = (): number => (2_000 * this.#random.next()) / perSecond
    const arrive = (): void => {
      const { nowMs } = this.host
      const id = `req_${this.told.length}`
      const told = {
        arrivedMs: nowMs,
        endedMs: Number.NaN,
        firstTokenMs: undefined,
        place: undefined,
        refusedWith: undefined,
        tries: 0,
      }
      this.told.push(told)
      this.#open.set(id, told)
      this.host.tell({
        kind: 'request-arrived',
        request: {
          id,
          tenant: 'acme',
          serviceClass: classOf(0),
          model: 'chat',
          arrivedAtMs: nowMs,
          waitMsMax: 10_000,
          deadlineMs: nowMs + 70_000,
          tokens: { input: 100, cachedInput: 0, output: 100 },
          eligible: everywhere,
        },
      })
      if (nowMs < untilMs) this.host.after(next(), arrive)
    }
    this.host.at(fromMs + next(), arrive)
  }

  /** What arrived in this time. */
  arrivedIn(fromMs: number, untilMs: number): readonly Told[] {
    return this.told.filter(({ arrivedMs }) => arrivedMs >= fromMs && arrivedMs < untilMs)
  }

  triesAt(place: string, fromMs = 0, untilMs = Number.POSITIVE_INFINITY): readonly number[] {
    const here = this.attempts.filter((attempt) => attempt.place === place)
    return here.map(({ atMs }) => atMs).filter((atMs) => atMs >= fromMs && atMs < untilMs)
  }

  inFlight(place: string): number {
    const { endpoints } = this.host.scheduler.snapshot(this.host.nowMs)
    return endpoints.find(({ endpointId }) => endpointId === place)?.inFlight ?? 0
  }

  #dispatched({ id: attemptId, requestId, endpoint }: Attempt): void {
    const told = this.#open.get(requestId) as Told
    told.tries++
    const { nowMs } = this.host
    this.attempts.push({ atMs: nowMs, place: endpoint.id })
    const outcome = (this.#places[endpoint.index] as PlaceSetting).behave(nowMs, this.#random)
    if ('failure' in outcome) {
      const { failure } = outcome
      this.host.after(outcome.failsAfterMs, () => this.host.tell({ kind: 'attempt-failed', attemptId, failure }))
      return
    }
    this.host.after(outcome.firstTokenMs, () => {
      told.firstTokenMs = this.host.nowMs
      told.place = endpoint.id
      this.host.tell({ kind: 'attempt-answering', attemptId })
    })
    this.host.after(outcome.totalMs, () => {
      this.#ended(requestId, () => {})
      this.host.tell({ kind: 'attempt-completed', attemptId, tokens: { input: 100, cachedInput: 0, output: 100 } })
    })
  }

  #ended(id: string, note: (told: Told) => void): void {
    const told = this.#open.get(id) as Told
    told.endedMs = this.host.nowMs
    note(told)
    this.#open.delete(id)
  }
}

/** Answers like this one: a first token after so long on average, the whole after five times that. */
export function answers(firstTokenMs: number, random: Random): Outcome {
  const tookMs = firstTokenMs * (0.5 + random.next())
  return { firstTokenMs: tookMs, totalMs: 5 * tookMs }
}

export function fails(failure: Failure, failsAfterMs = 5): Outcome {
  return { failsAfterMs, failure }
}

export function isAnswered({ firstTokenMs }: Told): boolean {
  return firstTokenMs !== undefined
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
