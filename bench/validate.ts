// Whether the simulator tells the truth: `npm run bench:validate -- [--check] [--json]`; some minutes.
//
// Each part says what it holds against what: queues against theory (validate/queueing.ts), a day of a real fleet
// (validate/fleet-day.ts). `--check` exits with 1 where one does not hold.
import { parseArgs } from 'node:util'
import { openTerminal } from '../src/cli/terminal.ts'
import { checkFleetDay } from './validate/fleet-day.ts'
import { checkQueues } from './validate/queueing.ts'

const { values } = parseArgs({ options: { check: { type: 'boolean' }, json: { type: 'boolean' } } })
const findings = [...checkQueues(), ...checkFleetDay()]
const terminal = openTerminal({ ...process, cwd: process.cwd(), json: values.json === true })
const figure = (value: number) => value.toLocaleString('en-US', { maximumFractionDigits: 1 })
terminal.result(
  { node: process.version, findings },
  terminal.table(
    ['', 'wanted', 'simulated', 'off by', '', ''],
    findings.map(({ name, wanted, got, note, holds }) => [
      name,
      figure(wanted),
      figure(got),
      `${((got / wanted - 1) * 100).toFixed(2)}%`,
      note,
      holds ? 'holds' : 'missed',
    ]),
  ),
)
if (values.check && findings.some(({ holds }) => !holds)) process.exitCode = 1
