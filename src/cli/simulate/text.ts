import type { Report } from '../../simulator/report.ts'
import type { Terminal } from '../command.ts'
import { count } from '../replay/format.ts'
import { classTable, faultTable, groupTable, headline, lossTable, poolTable, type Table } from './rows.ts'

/** The largest; the JSON and the page have more. */
const tenantsShown = 10

/** The report of a simulation for a terminal. */
export function reportText(report: Report, terminal: Terminal): string {
  const { name, seed, digest, simulatedSeconds, requests, residencyBreaches, violations } = report
  const table = ({ columns, rows }: Table) => (rows.length === 0 ? [] : [terminal.table(columns, rows), ''])
  return [
    `${terminal.bold(name)}: ${count(requests)} requests in ${count(simulatedSeconds)} simulated seconds, seed ${seed}, digest ${digest}`,
    '',
    terminal.table(
      ['', '', ''],
      headline(report).map((row) => [...row]),
    ),
    '',
    ...(residencyBreaches > 0
      ? [terminal.bad(`${residencyBreaches} requests were processed where they must not be`), '']
      : []),
    ...violations.map(({ rule, detail }) => terminal.bad(`broken: ${rule}: ${detail}`)),
    ...table(groupTable('plan', report.plans)),
    ...table(classTable(report)),
    ...table(groupTable('country', report.countries)),
    ...table(groupTable('tenant', report.tenants.slice(0, tenantsShown))),
    ...table(poolTable(report)),
    ...table(faultTable(report)),
    ...table(lossTable(report)),
  ]
    .join('\n')
    .trimEnd()
}
