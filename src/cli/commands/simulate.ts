import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { reportOf, timelineOf } from '../../simulator/report.ts'
import type { Scenario } from '../../simulator/scenario-schema.ts'
import { simulate } from '../../simulator/simulation.ts'
import { complaintsOf, shrink, universeOf } from '../../simulator/universe.ts'
import { type Command, type Terminal, UsageError } from '../command.ts'
import { oneWord, positive, readOptions } from '../options.ts'
import { simulationPage } from '../simulate/page.ts'
import { readScenario } from '../simulate/read-scenario.ts'
import { reportText } from '../simulate/text.ts'
import { worldOf } from '../simulate/world.ts'

export const command: Command = {
  name: 'simulate',
  summary: 'run a scenario in virtual time around the gateway’s own scheduler and report',
  usage: `spillway simulate SCENARIO.yaml [--seed N] [--html FILE]
spillway simulate SCENARIO.yaml --seeds N [--from N]
spillway simulate SCENARIO.yaml --universe N

The first runs the scenario. The same scenario and seed give the same digest on every machine. Exit code 1 where a
request was processed where it must not be, or a rule of the scheduler did not hold.

The second runs it in N other universes, each with its own chance and its own faults in place of the scenario's, and
checks after each that every rule held and that the service was back within 60 s of the last fault. The first that
fails is made as small as it can be and shown. The third runs one of them.

  --seed N        in place of the scenario's own
  --html FILE     writes a page with plots and a timeline
  --from N        the first universe (default: 1)

docs/reference/simulate.md explains scenarios.`,
  async run(args, terminal) {
    const { values, positionals } = readOptions(args, {
      seed: { type: 'string' },
      html: { type: 'string' },
      seeds: { type: 'string' },
      from: { type: 'string' },
      universe: { type: 'string' },
    })
    const file = path.resolve(terminal.cwd, oneWord(positionals, 'the scenario'))
    const scenario = readScenario(file)
    const number = (name: 'seed' | 'seeds' | 'from' | 'universe'): number | undefined => {
      const value = positive(name, values[name])
      if (value !== undefined && (!Number.isInteger(value) || value > 0xffff_ffff))
        throw new UsageError(`--${name} takes a whole number, not ${values[name]}`)
      return value
    }
    const seeds = number('seeds')
    if (seeds !== undefined) return runUniverses(scenario, file, number('from') ?? 1, seeds, terminal)
    const universe = number('universe')
    const seeded = { ...scenario, seed: number('seed') ?? scenario.seed }
    const chosen = universe === undefined ? seeded : universeOf(scenario, universe)
    const outcome = simulate(chosen, worldOf(chosen, path.dirname(file)))
    const report = reportOf(outcome)
    if (values.html !== undefined)
      writeFileSync(path.resolve(terminal.cwd, values.html), simulationPage(report, timelineOf(outcome)))
    terminal.result(report, reportText(report, terminal))
    return report.residencyBreaches > 0 || report.violations.length > 0 ? 1 : 0
  },
}

function runUniverses(scenario: Scenario, file: string, from: number, seeds: number, terminal: Terminal): number {
  const world = worldOf(scenario, path.dirname(file))
  const complaints = (one: Scenario) => complaintsOf(simulate(one, world))
  const progress = terminal.progress('universes', seeds)
  for (let seed = from; seed < from + seeds; seed++) {
    const universe = universeOf(scenario, seed)
    const found = complaints(universe)
    progress.update(seed - from + 1)
    if (found.length === 0) continue
    progress.end()
    const smallest = shrink(universe, (smaller) => complaints(smaller).length > 0)
    const result = {
      failed: seed,
      complaints: found,
      reproduction: `spillway simulate ${path.relative(terminal.cwd, file)} --universe ${seed}`,
      smallest: { duration: smallest.duration, faults: smallest.faults, complaints: complaints(smallest) },
    }
    terminal.result(
      result,
      [
        terminal.bad(`universe ${seed} failed:`),
        ...found.map((complaint) => `  ${complaint}`),
        `again: ${result.reproduction}`,
        `smallest that fails: ${smallest.duration / 1_000} s with ${JSON.stringify(smallest.faults)}`,
      ].join('\n'),
    )
    return 1
  }
  progress.end()
  terminal.result({ universes: seeds, from, failed: null }, terminal.good(`all held in ${seeds} universes`))
  return 0
}
