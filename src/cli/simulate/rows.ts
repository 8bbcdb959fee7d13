import type { GroupReport, Percentiles, Report } from '../../simulator/report.ts'
import { count, duration, percentage } from '../replay/format.ts'

/** Tables of a report, for terminal and page. */
export interface Table {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

export function groupTable(title: string, groups: readonly GroupReport[]): Table {
  return {
    columns: [title, 'requests', 'served', 'in time', 'goodput', 'first p50', 'p95', 'p99', 'wait p95', 'refused'],
    rows: groups.map((group) => [
      group.name,
      count(group.offered),
      percentage(group.served),
      percentage(group.good),
      percentage(group.goodput),
      ...times(group.firstTokenMs),
      duration(group.waitMs.p95),
      count(Object.values(group.refused).reduce((sum, number) => sum + number, 0)),
    ]),
  }
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

export function lossTable({ refused, attemptFailures, plans }: Report): Table {
  const cut = plans.reduce((sum, plan) => sum + plan.cut, 0)
  const gaveUp = plans.reduce((sum, plan) => sum + plan.gaveUp, 0)
  const rows = [
    ...Object.entries(refused).map(([code, number]) => ['refused', code, count(number)]),
    ...(cut > 0 ? [['answer cut', '', count(cut)]] : []),
    ...(gaveUp > 0 ? [['client gave up', '', count(gaveUp)]] : []),
    ...Object.entries(attemptFailures).map(([kind, number]) => ['try failed', kind, count(number)]),
  ]
  return { columns: ['what', 'why', 'times'], rows }
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
    ['served', percentage(report.served), `${percentage(report.good)} with the first token in time`],
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
