/** What the gateway can leave out of a request without changing what is asked. */
export type BrownoutFeature = 'tools' | 'web-search' | 'logprobs' | 'choices'

export const brownoutFeatures: readonly BrownoutFeature[] = ['tools', 'web-search', 'logprobs', 'choices']

/** What requests of a plan do without from some pressure on; steps add up. */
export interface BrownoutStep {
  /** In force while the pressure on a model is at least this: see `Scheduler.pressure`. */
  readonly above: number
  /** Served by another model than the one asked for, where the tenant allows that. */
  readonly models: Readonly<Record<string, string>>
  /** One answer is no longer than this, tokens. */
  readonly outputTokensMax?: number | undefined
  readonly without: readonly BrownoutFeature[]
  /** May wait longer for room than it could otherwise, ms. */
  readonly waitMs?: number | undefined
  /** Turned away. */
  readonly refuse: boolean
}

/** All steps in force, taken together: of two words on the same thing the later step's holds. */
export type BrownoutEffect = Omit<BrownoutStep, 'above'>

const none: BrownoutEffect = { models: {}, without: [], refuse: false }

/** The first `level` steps together. Effects of one list are told apart by their level alone. */
export function brownoutEffect(steps: readonly BrownoutStep[], level: number): BrownoutEffect {
  return steps.slice(0, level).reduce<BrownoutEffect>(
    (sum, step) => ({
      models: { ...sum.models, ...step.models },
      outputTokensMax: step.outputTokensMax ?? sum.outputTokensMax,
      without: [...new Set([...sum.without, ...step.without])],
      waitMs: step.waitMs ?? sum.waitMs,
      refuse: sum.refuse || step.refuse,
    }),
    none,
  )
}

/** The pressure is looked at this often: a few tenths of a second more or less do not matter to people. */
const sampleMs = 250
/** Of the mean that the pressure is taken as: bursts that a queue takes up are no reason to do without. */
const meanMs = 3_000
/** A step that is in force stays so until the pressure is this much below its beginning, so that it does not flutter. */
const hysteresis = 0.15

/** How far down the list of steps one plan is, for one model and set of places. */
export class BrownoutLevel {
  #level = 0
  #pressure = 0
  #sampledMs = Number.NEGATIVE_INFINITY

  get level(): number {
    return this.#level
  }

  /** The mean that decided last. */
  get pressure(): number {
    return this.#pressure
  }

  /** The number of steps in force now, of `steps` in rising order. `pressure` is asked when it is time to. */
  now(steps: readonly BrownoutStep[], pressure: () => number, nowMs: number): number {
    const agoMs = nowMs - this.#sampledMs
    if (agoMs < sampleMs) return this.#level
    this.#sampledMs = nowMs
    // A place that is out for good makes the pressure infinite, which no mean forgets.
    const sample = Math.min(pressure(), pressureMax)
    // The weight of a mean over time, without the exponential, whose last digits differ between machines.
    this.#pressure = Number.isFinite(agoMs)
      ? this.#pressure + ((sample - this.#pressure) * agoMs) / (agoMs + meanMs)
      : sample
    let level = Math.min(this.#level, steps.length)
    while (level < steps.length && this.#pressure >= (steps[level] as BrownoutStep).above) level++
    while (level > 0 && this.#pressure < (steps[level - 1] as BrownoutStep).above * (1 - hysteresis)) level--
    this.#level = level
    return level
  }
}

/** Ten times what there is asks no more of anybody than twenty times. */
const pressureMax = 10
