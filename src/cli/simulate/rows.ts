import type { GroupReport, Percentiles, Report } from '../../simulator/report.ts'
import { count, duration, percentage } from '../replay/format.ts'

/** Tables of a report, for terminal and page. */
export interface Table {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

export function groupTable(title: string, groups: readonly GroupReport[]): Table {
  return {
    columns: [
      title,
      'requests',
      'served',
      'in time',
      'goodput',
      ...['first p50', 'p95', 'p99'],
      ...['wait p50', 'p95', 'p99'],
      'refused',
      'wasted tokens',
      'Jain',
    ],
    rows: groups.map((group) => [
      group.name,
      count(group.offered),
      percentage(group.served),
      percentage(group.good),
      percentage(group.goodput),
      ...times(group.firstTokenMs),
      ...times(group.waitMs),
      count(Object.values(group.refused).reduce((sum, number) => sum + number, 0)),
      count(group.wastedTokens),
      group.tenants > 1 ? group.jain.toFixed(3) : '',
    ]),
  }
}

/** By class only where that says more than by plan. */
export function classTable({ classes, plans }: Report): Table {
  return groupTable('class', classes.length > plans.length ? classes : [])
}

export function poolTable({ pools }: Report): Table {
  return {
    columns: ['pool', 'vendor', 'country', 'GPUs', 'slots used', 'up', 'cost'],
    rows: pools.map((pool) => [
      pool.name,
      pool.subProcessor,
      pool.country,
      count(pool.gpus),
      percentage(pool.utilisation, 1),
      percentage(pool.availability, 1),
      pool.costUsd === null ? '' : usd(pool.costUsd),
    ]),
  }
}

export function faultTable({ recoveries }: Report): Table {
  return {
    columns: ['fault', 'from', 'to', 'in time before', 'at worst', 'back after'],
    rows: recoveries.map(({ fault, startSeconds, endSeconds, before, worst, recoverySeconds }) => [
      fault,
      `${startSeconds} s`,
      `${endSeconds} s`,
      percentage(before),
      percentage(worst),
      recoverySeconds === undefined
        ? 'the run ends first'
        : recoverySeconds === null
          ? 'not in this run'
          : `${recoverySeconds} s`,
    ]),
  }
}

/** What went wrong, why, and how often; what clients were told by class. */
export function lossTable({ classes, attemptFailures }: Report): Table {
  const rows = classes.flatMap(({ name, refused, cut, gaveUp }) => [
    ...Object.entries(refused).map(([code, number]) => ['refused', code, name, count(number)]),
    ...(cut > 0 ? [['answer cut', '', name, count(cut)]] : []),
    ...(gaveUp > 0 ? [['client gave up', '', name, count(gaveUp)]] : []),
  ])
  const failures = Object.entries(attemptFailures).map(([kind, number]) => ['try failed', kind, '', count(number)])
  return { columns: ['what', 'why', 'class', 'times'], rows: [...rows, ...failures] }
}

/** What is said in one number each: name, value, note. */
export function headline(report: Report): readonly (readonly [name: string, value: string, note: string])[] {
  const { fairness, attemptsPerRequest, costUsd, usdPerMillionGoodTokens } = report
  return [
    [
      'goodput',
      percentage(report.goodput),
      `${count(report.goodTokens)} of ${count(report.wantedTokens)} tokens in time`,
    ],
    [
      'served',
      percentage(report.served),
      `${percentage(report.good)} with the first token in time; ${count(report.openAtEnd)} open at the end`,
    ],
    ['first token, median', duration(report.firstTokenMs.p50), `95% within ${duration(report.firstTokenMs.p95)}`],
    ['wait, 95%', duration(report.waitMs.p95), `99% within ${duration(report.waitMs.p99)}`],
    ['residency breaches', count(report.residencyBreaches), 'requests processed where their terms do not allow it'],
    ['tokens wasted', count(report.wastedTokens), 'made for answers that were cut or given up'],
    [
      'tries per request',
      attemptsPerRequest.mean.toFixed(3),
      `${attemptsPerRequest.worstSecond.toFixed(2)} in the worst second`,
    ],
    [
      'fairness (Jain)',
      fairness.jain.toFixed(3),
      `largest service gap ${count(Math.round(fairness.largestServiceGap))} tokens`,
    ],
    [
      'cost',
      costUsd === null ? 'not known' : usd(costUsd),
      usdPerMillionGoodTokens === null ? '' : `${usd(usdPerMillionGoodTokens)} per million good tokens`,
    ],
  ]
}

function times({ p50, p95, p99 }: Percentiles): string[] {
  return [duration(p50), duration(p95), duration(p99)]
}

function usd(value: number): string {
  return `$${value.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`
}
