import type { Terminal } from '../command.ts'
import { count, duration, percentage } from './format.ts'
import { failureRows, shareRows, timeRows, tokenRows, triesRows } from './rows.ts'
import { partialNote, type ReplayRun, simulationNote } from './run.ts'

/** The report of a replay for a terminal. */
export function replayText(run: ReplayRun, terminal: Terminal): string {
  const { summary, trace, speed, url } = run
  const { ok, requests, successRate, seconds, requestsPerSecond } = summary
  const rate = `${percentage(successRate)} answered whole`
  return [
    ...note(terminal.bad, partialNote(run)),
    ...note(terminal.bold, simulationNote(run)),
    `${count(requests)} requests of ${trace} at speed ${speed} to ${url}`,
    `in ${duration(seconds * 1_000)}, ${requestsPerSecond.toFixed(1)} a second: ${ok === requests ? terminal.good(rate) : terminal.bad(rate)}`,
    '',
    ...table(terminal, ['did not end well', 'first byte', 'requests'], failureRows(run)),
    ...table(terminal, ['time', 'p50', 'p90', 'p95', 'p99', 'max'], timeRows(run)),
    ...table(terminal, ['tokens', 'count'], tokenRows(run)),
    ...table(terminal, ['cloud', 'answers', 'share'], shareRows(summary.byCloud)),
    ...table(terminal, ['country', 'answers', 'share'], shareRows(summary.byCountry)),
    ...table(terminal, ['tries', 'requests'], triesRows(run)),
  ]
    .join('\n')
    .trimEnd()
}

function table(terminal: Terminal, columns: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return rows.length === 0 ? [] : [terminal.table(columns, rows), '']
}

function note(paint: (text: string) => string, text: string | undefined): string[] {
  return text === undefined ? [] : [paint(text), '']
}
