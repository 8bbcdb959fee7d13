import type { DayRun } from './burst-day.ts'
import type { PolicyRun } from './run.ts'
import { bootstrap, type Interval } from './statistics.ts'

/** One policy over all mappings and seeds. */
export interface PolicySummary {
  readonly policy: string
  /** Share of the value that perfect information would have made. */
  readonly value: Interval
  /** What ours makes more than this one, in the same runs, as a share of the bound. */
  readonly oursMore: Interval
  readonly goodput: Readonly<Record<string, number>>
  readonly attemptsMean: number
  readonly attemptsWorstSecond: number
  /** The longest over all runs and faults; null where one was not back at all. */
  readonly recoverySecondsMax: number | null
  readonly aboveBound: number
  readonly residencyBreaches: number
  readonly violations: number
}

export function summaryOf(policy: string, runs: readonly PolicyRun[], ours: readonly PolicyRun[]): PolicySummary {
  const shares = runs.map(({ value, bound }) => value / bound)
  const most = (of: (run: PolicyRun) => number) => Math.max(...runs.map(of))
  const recoveries = runs.flatMap(({ recoverySeconds }) => recoverySeconds)
  const total = (of: (run: PolicyRun) => number) => runs.reduce((sum, run) => sum + of(run), 0)
  return {
    policy,
    value: bootstrap(shares),
    oursMore: bootstrap(ours.map(({ value, bound }, at) => value / bound - (shares[at] as number))),
    goodput: Object.fromEntries(
      Object.keys(runs[0]?.goodput ?? {}).map((plan) => [
        plan,
        total(({ goodput }) => goodput[plan] ?? 0) / runs.length,
      ]),
    ),
    attemptsMean: most(({ attemptsMean }) => attemptsMean),
    attemptsWorstSecond: most(({ attemptsWorstSecond }) => attemptsWorstSecond),
    recoverySecondsMax: recoveries.includes(null) ? null : Math.max(...recoveries.map((seconds) => seconds ?? 0)),
    aboveBound: runs.filter(({ value, bound }) => value > bound).length,
    residencyBreaches: total((run) => run.residencyBreaches),
    violations: total((run) => run.violations.length),
  }
}

/** A figure that is wanted, and what was measured of it. */
export interface Verdict {
  readonly wanted: string
  readonly measured: string
  readonly holds: boolean
}

/** What ours must show. */
export function verdictsOf(ours: PolicySummary, strict: PolicySummary, all: readonly PolicySummary[]): Verdict[] {
  const { value, goodput, attemptsMean, attemptsWorstSecond, recoverySecondsMax } = ours
  const { enterprise = 0 } = goodput
  return [
    {
      wanted: 'value at least 98.5% of the bound on average',
      measured: percent(value.mean),
      holds: value.mean >= 0.985,
    },
    {
      wanted: `not below ${strict.policy} beyond the 95% interval`,
      measured: intervalText(strict.oursMore),
      holds: strict.oursMore.high >= 0,
    },
    { wanted: 'enterprise goodput at least 99.9%', measured: percent(enterprise), holds: enterprise >= 0.999 },
    {
      wanted: 'tries for each admitted request at most 1.20 in every second',
      measured: attemptsWorstSecond.toFixed(2),
      holds: attemptsWorstSecond <= 1.2,
    },
    { wanted: 'and at most 1.10 on average', measured: attemptsMean.toFixed(3), holds: attemptsMean <= 1.1 },
    {
      wanted: 'back within 60 s of every fault in every run',
      measured: recoverySecondsMax === null ? 'not in a run' : `${recoverySecondsMax} s`,
      holds: recoverySecondsMax !== null && recoverySecondsMax <= 60,
    },
    {
      wanted: 'no policy above the bound in any run',
      measured: String(all.reduce((sum, { aboveBound }) => sum + aboveBound, 0)),
      holds: all.every(({ aboveBound }) => aboveBound === 0),
    },
    {
      wanted: 'no residency breach, and no broken rule of ours',
      measured: `${all.reduce((sum, { residencyBreaches }) => sum + residencyBreaches, 0)}, ${ours.violations}`,
      holds: all.every(({ residencyBreaches }) => residencyBreaches === 0) && ours.violations === 0,
    },
  ]
}

/** One policy over a few days of eleven times the usual: the worst of them. */
export interface DaySummary {
  readonly policy: string
  readonly firstTokenMsP95: number
  readonly priorityGoodput: number
  readonly restOfBound: number
}

export function daySummaryOf(policy: string, days: readonly DayRun[]): DaySummary {
  const own = days.filter((day) => day.policy === policy)
  return {
    policy,
    firstTokenMsP95: Math.max(...own.map(({ firstTokenMsP95 }) => firstTokenMsP95)),
    priorityGoodput: Math.min(...own.map(({ priorityGoodput }) => priorityGoodput)),
    restOfBound: Math.min(...own.map(({ restOfBound }) => restOfBound)),
  }
}

export function dayVerdictsOf({ firstTokenMsP95, restOfBound }: DaySummary): Verdict[] {
  return [
    {
      wanted: 'on the day of 11 times the usual, first token of priority within 2 s at 95%',
      measured: `${Math.round(firstTokenMsP95)} ms`,
      holds: firstTokenMsP95 <= 2_000,
    },
    {
      wanted: 'and the others served to 97% of what is left for them',
      measured: percent(restOfBound),
      holds: restOfBound >= 0.97,
    },
  ]
}

export function percent(share: number, digits = 2): string {
  return `${(100 * share).toFixed(digits)}%`
}

export function intervalText({ mean, low, high }: Interval): string {
  return `${percent(mean)} (${percent(low)} to ${percent(high)})`
}
