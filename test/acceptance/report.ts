import { percentilesOf } from '../../src/cli/replay/summary.ts'
import { type BarLine, countsOf, faultSpans } from './bar.ts'
import { type Books, type Joined, type ViolationKind, violationKinds } from './join.ts'

export interface Report {
  readonly books: Books
  readonly joined: Joined
  readonly bar: readonly BarLine[]
  /** The one that was made to fail. */
  readonly place: string
  readonly runMs: number
}

const shownOfEachKind = 5

export function jsonReport(report: Report): string {
  const { bar, joined } = report
  const passed = bar.every(({ holds }) => holds)
  return `${JSON.stringify({ passed, bar, ...joined, figures: figuresOf(report) }, undefined, 2)}\n`
}

/** Each line of the bar with what was seen, the rule it was judged by, figures, and each kind of violation. */
export function textReport(report: Report): string {
  const { books, joined, bar, runMs } = report
  const slots = books.places.reduce((sum, { slots: own }) => sum + own, 0)
  const figures = Object.entries(figuresOf(report))
  return `
${books.results.length} requests of ${books.tenants.length} tenants to ${slots} slots at ${books.places.length} places, in ${runMs / 1_000} s

${bar.map(({ what, holds, seen }) => `${holds ? 'PASS' : 'FAIL'}  ${what}\n      ${seen}\n`).join('')}
A place has a free slot while, by its own log, it is not down, resetting, silent or refusing and fewer requests hold its
slots than it has; a slow one counts. It must have been so for ${joined.newsMs} ms before the client saw the failure, and no
request may have been on its way there that came within as long: that is how long news took from cloud to client, by
their own clocks, for 99 of 100 whole answers of this run.

${[...figures.map(([name, figure]) => name.padEnd(36) + figure), ...violationLines(joined)].join('\n')}
`
}

function violationLines({ violations }: Joined): string[] {
  return Object.entries(Object.groupBy(violations, ({ kind }) => kind)).flatMap(([kind, found = []]) => [
    `${found.length} × a request that ${violationKinds[kind as ViolationKind]}:`,
    ...found.slice(0, shownOfEachKind).map(({ requestId, detail }) => `    ${requestId}: ${detail}`),
  ])
}

/** What is worth knowing beside the bar. */
function figuresOf({ books, place }: Report): Record<string, string> {
  const { results, served, ledger } = books
  const ms = (numbers: readonly number[]) => {
    const of = percentilesOf(numbers)
    return of === null ? '-' : `p50 ${of.p50.toFixed(1)} ms, p99 ${of.p99.toFixed(1)} ms, max ${of.max.toFixed(0)} ms`
  }
  const ok = results.filter(({ ended }) => ended === 'ok')
  const figures: Record<string, string> = {
    'answered whole': `${ok.length} of ${results.length} (${((ok.length / results.length) * 100).toFixed(2)}%)`,
  }
  for (const { how, fromMs, toMs } of faultSpans(books)) {
    const during = results.filter(({ sentMs }) => sentMs >= fromMs && sentMs < toMs)
    figures[`sent while ${place} was ${how}`] =
      `${during.length}, of them not whole: ${countsOf(during.filter(({ ended }) => ended !== 'ok'))}`
  }
  return {
    ...figures,
    'first token': ms(ok.flatMap(({ ttftMs }) => ttftMs ?? [])),
    'first token of those tried again': ms(
      ok.filter(({ attempts }) => attempts > 1).flatMap(({ ttftMs }) => ttftMs ?? []),
    ),
    'gateway overhead': ms(results.flatMap(({ overheadMs }) => overheadMs ?? [])),
    'sent late': ms(results.map(({ lateMs }) => lateMs)),
    'tries at clouds': `${served.length} for ${results.length} requests, of them rejected ${served.filter(({ ended }) => ended === 'rejected').length}`,
    'highest tries of one request': String(Math.max(...ledger.map(({ attempts }) => attempts))),
  }
}
