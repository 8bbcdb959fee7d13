import { BrownoutLevel, brownoutEffect } from '../core/brownout.ts'
import type { Eligibility } from '../core/request.ts'
import type { Scheduler } from '../core/scheduler.ts'
import type { ServiceTerms } from '../core/service-class.ts'
import type { Caller } from './key-table.ts'
import type { Access, Plane } from './plane.ts'
import type { RelayRequest } from './relay-request.ts'
import { type BodyFacts, cutBody } from './request-body.ts'

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

  /** How many steps of the caller's plan are in force for a model, as one class feels the pressure on it. */
  level(model: string, access: Access, { serviceClass }: ServiceTerms, nowMs: number): number {
    const { name, priority } = serviceClass
    const pressure = () => this.#scheduler.pressure(model, access.eligible, priority, nowMs)
    return this.#of(access.eligible, name, model).level.now(access.brownout, pressure, nowMs)
  }

  /** The request without what its plan does without now; undefined where that is nothing. */
  apply({ body, operation, access, terms, caller }: RelayRequest, plane: Plane, nowMs: number): BrownedOut | undefined {
    const { model } = body
    const level = this.level(model, access, terms, nowMs)
    if (level === 0) return undefined
    const effect = brownoutEffect(access.brownout, level)
    const { tenant } = caller
    const expectedMs = this.#scheduler.expectedWaitMs(model, access.eligible, terms.serviceClass, tenant.id, nowMs)
    if (effect.refuse)
      return { body, access, waitMs: 0, words: [['refuse', model]], refusedMs: Math.max(refusedMsMin, expectedMs) }
    const standIn = standInFor(effect.models[model], caller, plane)
    const { facts, words } = cutBody(body, operation, {
      model: standIn?.model ?? model,
      outputTokensMax: operation === 'embeddings' ? undefined : effect.outputTokensMax,
      without: effect.without,
    })
    const waitMs = effect.waitMs ?? 0
    const waits: BrownoutWords = waitMs > 0 && expectedMs > 0 ? [['wait-eta-ms', String(Math.round(expectedMs))]] : []
    return {
      body: facts,
      access: standIn?.access ?? access,
      waitMs,
      words: [...words, ...waits],
      refusedMs: undefined,
    }
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
      held = { level: new BrownoutLevel(), className, model }
      byClass.set(className, held)
    }
    return held
  }
}

/** One that is turned away comes back no sooner. */
const refusedMsMin = 1_000

/** Another model stands in only where the caller takes one, and its terms let that one serve. */
function standInFor(
  model: string | undefined,
  caller: Caller,
  plane: Plane,
): { readonly model: string; readonly access: Access } | undefined {
  if (model === undefined || !caller.tenant.allowSubstitutes) return undefined
  const access = plane.access(caller, model)
  return access?.locationAllowed === true && access.eligible.indices.length > 0 ? { model, access } : undefined
}

/** `model=chat-small, output-tokens-max=512`. */
export function brownoutText(words: BrownoutWords): string {
  return words.map(([what, value]) => `${what}=${value}`).join(', ')
}

/** The header that says it, flat; none where that is nothing. */
export function brownoutHeader(words: BrownoutWords): string[] {
  return words.length === 0 ? [] : ['x-spillway-brownout', brownoutText(words)]
}
