import type { Operation } from '../adapters/providers/provider.ts'
import { type BrownoutEffect, BrownoutLevel, type BrownoutStep, brownoutEffect } from '../core/brownout.ts'
import type { Eligibility } from '../core/request.ts'
import type { Scheduler } from '../core/scheduler.ts'
import type { ServiceTerms } from '../core/service-class.ts'
import type { Access } from './plane.ts'
import { type BodyCut, type BodyFacts, cutBody } from './request-body.ts'

/** What a request did without, as its answer says it: name and value, such as `model` and `chat-small`. */
export type BrownoutWords = readonly (readonly [what: string, value: string])[]

/** A request as a brownout leaves it. */
export interface BrownedOut {
  readonly body: BodyFacts
  readonly access: Access
  /** How long it may wait for room, where that is longer than it could otherwise. */
  readonly waitMs: number
  readonly words: BrownoutWords
  /** Turned away; worth asking again after this. */
  readonly refusedMs: number | undefined
}

/** How far down its list of steps one class is for one model. */
export interface BrownoutReading {
  readonly className: string
  readonly model: string
  readonly level: number
  readonly pressure: number
}

interface Held {
  readonly level: BrownoutLevel
  readonly className: string
  readonly model: string
  /** Of `effectLevel` steps. */
  effect: BrownoutEffect | undefined
  effectLevel: number
}

/** Decides what requests do without while their model is short, and takes it out of them. */
export class Brownouts {
  readonly #scheduler: Scheduler
  /** By the places that may serve, then by class. Those of one generation of the plane only. */
  #held = new Map<Eligibility, Map<string, Held>>()
  #version = 0

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler
  }

  /** Of every class and model that was asked for; where the places of its tenants differ, the furthest. */
  readings(): readonly BrownoutReading[] {
    const readings = new Map<string, BrownoutReading>()
    for (const byClass of this.#held.values()) {
      for (const { level, className, model } of byClass.values()) {
        const key = `${className} ${model}`
        const known = readings.get(key)
        if (known === undefined || level.pressure > known.pressure)
          readings.set(key, { className, model, level: level.level, pressure: level.pressure })
      }
    }
    return [...readings.values()]
  }

  /** The pressure on a model as one class feels it, and how many of its plan's steps are in force. */
  reading(model: string, access: Access, { serviceClass }: ServiceTerms, nowMs: number): BrownoutReading {
    const { name, priority } = serviceClass
    const held = this.#of(access.eligible, name, model)
    const pressure = () => this.#scheduler.pressure(model, access.eligible, priority, nowMs)
    const level = held.level.now(access.brownout, pressure, nowMs)
    return { className: name, model, level, pressure: held.level.pressure }
  }

  /**
   * The request without what its plan does without now; undefined where that is nothing. `accessTo` gives what the
   * caller may do with another model: it stands in only where the caller's terms let it.
   */
  apply(
    body: BodyFacts,
    operation: Operation,
    access: Access,
    terms: ServiceTerms,
    accessTo: (model: string) => Access | undefined,
    tenant: string,
    nowMs: number,
  ): BrownedOut | undefined {
    const { model } = body
    const { level } = this.reading(model, access, terms, nowMs)
    if (level === 0) return undefined
    const effect = this.#effect(this.#of(access.eligible, terms.serviceClass.name, model), access.brownout, level)
    const expectedMs = this.#scheduler.expectedWaitMs(model, access.eligible, terms.serviceClass, tenant, nowMs)
    if (effect.refuse)
      return { body, access, waitMs: 0, words: [['refuse', model]], refusedMs: Math.max(refusedMsMin, expectedMs) }
    const standIn = this.#standIn(effect.models[model], accessTo)
    const cut: BodyCut = {
      model: standIn?.model ?? model,
      outputTokensMax: operation === 'embeddings' ? undefined : effect.outputTokensMax,
      without: effect.without,
    }
    const { facts, words } = cutBody(body, operation, cut)
    const waitMs = effect.waitMs ?? 0
    const all: BrownoutWords =
      waitMs > 0 && expectedMs > 0 ? [...words, ['wait-eta-ms', String(Math.round(expectedMs))]] : words
    return all.length === 0
      ? { body, access, waitMs, words: [], refusedMs: undefined }
      : { body: facts, access: standIn?.access ?? access, waitMs, words: all, refusedMs: undefined }
  }

  #standIn(
    model: string | undefined,
    accessTo: (model: string) => Access | undefined,
  ): { readonly model: string; readonly access: Access } | undefined {
    if (model === undefined) return undefined
    const access = accessTo(model)
    return access === undefined || !access.locationAllowed || access.eligible.indices.length === 0
      ? undefined
      : { model, access }
  }

  #of(eligible: Eligibility, className: string, model: string): Held {
    if (eligible.version !== this.#version) {
      this.#held = new Map()
      this.#version = eligible.version
    }
    let byClass = this.#held.get(eligible)
    if (byClass === undefined) {
      byClass = new Map()
      this.#held.set(eligible, byClass)
    }
    let held = byClass.get(className)
    if (held === undefined) {
      held = { level: new BrownoutLevel(), className, model, effect: undefined, effectLevel: 0 }
      byClass.set(className, held)
    }
    return held
  }

  #effect(held: Held, steps: readonly BrownoutStep[], level: number): BrownoutEffect {
    if (held.effect === undefined || held.effectLevel !== level) {
      held.effect = brownoutEffect(steps, level)
      held.effectLevel = level
    }
    return held.effect
  }
}

/** One that is turned away comes back no sooner. */
const refusedMsMin = 1_000

/** `model=chat-small, output-tokens-max=512`. */
export function brownoutHeader(words: BrownoutWords): string {
  return words.map(([what, value]) => `${what}=${value}`).join(', ')
}
