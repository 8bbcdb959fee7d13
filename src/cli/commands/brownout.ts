import type { Config } from '../../config/config.ts'
import { type BrownoutEffect, type BrownoutStep, brownoutEffect } from '../../core/brownout.ts'
import { type Command, type Terminal, UsageError } from '../command.ts'
import { configFileThere, loadConfig } from '../config-source.ts'
import { actionIn, noWords, readOptions } from '../options.ts'

export const command: Command = {
  name: 'brownout',
  summary: 'what each plan does without when a model is short',
  usage: `spillway brownout preview [--at PRESSURE] [--plan NAME] [--config FILE]

Shows the brownout steps of each plan as the configuration has them; nothing is changed. With --at, what requests of
each plan get at that pressure: requests in flight and waiting, by the slots of the places that may serve. At 1
everything is full; at 2 twice as much is asked as there is. What is in force now says GET /metrics
(spillway_brownout_steps) or, for one caller, POST /v1/explain.

  --at PRESSURE   from 0 to 10, such as 1.2
  --plan NAME     only this one
  --config FILE   (default: $SPILLWAY_CONFIG, else ./spillway.yaml, else the demo's)`,
  async run(args, terminal) {
    const { values, positionals } = readOptions(args, {
      at: { type: 'string' },
      plan: { type: 'string' },
      config: { type: 'string' },
    })
    const { rest } = actionIn(positionals, ['preview'])
    noWords(rest)
    const at = values.at === undefined ? undefined : pressureOf(values.at)
    const { config } = loadConfig(configFileThere(values.config, terminal))
    if (values.plan !== undefined && !Object.hasOwn(config.plans, values.plan))
      throw new UsageError(`there is no plan ${values.plan}; there is ${Object.keys(config.plans).join(', ')}`)
    const plans = Object.entries(config.plans).filter(([name]) => values.plan === undefined || name === values.plan)
    if (at === undefined) showSteps(config, plans, terminal)
    else showEffects(config, plans, at, terminal)
    return 0
  },
}

type Plans = readonly (readonly [name: string, plan: Config['plans'][string]])[]

function showSteps(config: Config, plans: Plans, terminal: Terminal): void {
  const rows = plans.flatMap(([name, { brownout }]) =>
    brownout.length === 0
      ? [[name, '-', 'nothing: it waits and is refused like any other']]
      : brownout.map((step, index) => [index === 0 ? name : '', `${step.above}`, textOf(step)]),
  )
  const notes = plans.flatMap(([name, { brownout }]) => standInNotes(config, name, brownout))
  terminal.result(
    plans.map(([plan, { brownout }]) => ({ plan, steps: brownout })),
    [terminal.table(['plan', 'from pressure', 'does without'], rows), ...notes].join('\n'),
  )
}

function showEffects(config: Config, plans: Plans, at: number, terminal: Terminal): void {
  const effects = plans.map(([plan, { brownout }]) => {
    const level = brownout.filter(({ above }) => above <= at).length
    return { plan, steps: brownout, level, effect: brownoutEffect(brownout, level) }
  })
  const rows = effects.map(({ plan, steps, level, effect }) => [
    plan,
    `${level} of ${steps.length}`,
    level === 0 ? 'nothing' : textOf(effect),
  ])
  const notes = effects.flatMap(({ plan, steps, level }) => standInNotes(config, plan, steps.slice(0, level)))
  terminal.result(
    effects.map(({ plan, level, effect }) => ({ plan, pressure: at, level, effect })),
    [terminal.table(['plan', 'steps', `does without at ${at}`], rows), ...notes].join('\n'),
  )
}

/** A stand-in is another model: only tenants that allow one get it. */
function standInNotes(config: Config, plan: string, steps: readonly BrownoutStep[]): string[] {
  if (steps.every(({ models }) => Object.keys(models).length === 0)) return []
  const without = Object.entries(config.tenants)
    .filter(([, tenant]) => tenant.plan === plan && !tenant.allowSubstitutes)
    .map(([name]) => name)
  return without.length === 0
    ? []
    : [`tenants of ${plan} that keep the model they ask for (allowSubstitutes is false): ${without.join(', ')}`]
}

function textOf({ models, outputTokensMax, without, waitMs, refuse }: BrownoutEffect): string {
  if (refuse) return 'turned away'
  const parts = [
    ...Object.entries(models).map(([asked, served]) => `${served} answers for ${asked}`),
    ...(outputTokensMax === undefined ? [] : [`at most ${outputTokensMax} tokens an answer`]),
    ...(without.length === 0 ? [] : [`no ${without.join(', no ')}`]),
    ...(waitMs === undefined ? [] : [`may wait up to ${waitMs / 1_000} s`]),
  ]
  return parts.join('; ') || 'nothing'
}

function pressureOf(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && value >= 0 && value <= 10) return value
  throw new UsageError(`--at takes a pressure from 0 to 10, not ${JSON.stringify(text)}`)
}
