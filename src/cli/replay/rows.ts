import { count, duration, percentage } from './format.ts'
import type { ReplayRun } from './run.ts'
import type { Percentiles, Share } from './summary.ts'

// The rows of the report's tables, the same in the terminal and on the page.

export function timeRows({ summary }: ReplayRun): string[][] {
  const row = (name: string, of: Percentiles | null) =>
    of === null ? [] : [[name, ...[of.p50, of.p90, of.p95, of.p99, of.max].map(duration)]]
  return [
    ...row('first token', summary.ttftMs),
    ...row('each further token', summary.tpotMs),
    ...row('whole answer', summary.endToEndMs),
    ...row('gateway overhead', summary.overheadMs),
    ...row('sent late by', summary.lateMs),
  ]
}

export function failureRows({ summary }: ReplayRun): string[][] {
  const rows = (when: string, counts: Readonly<Record<string, number>>) =>
    Object.entries(counts).map(([reason, number]) => [reason, when, count(number)])
  return [...rows('never came', summary.failedBeforeFirstByte), ...rows('had come', summary.failedAfterFirstByte)]
}

export function tokenRows({ summary }: ReplayRun): string[][] {
  return [
    ['in', count(summary.promptTokens)],
    ['of these cached', count(summary.cachedTokens)],
    ['out', count(summary.completionTokens)],
    ['cost', summary.costUsd === null ? 'not known' : `$${summary.costUsd.toFixed(4)}`],
  ]
}

export function shareRows(shares: readonly Share[]): string[][] {
  return shares.map(({ name, requests, share }) => [name, count(requests), percentage(share, 1)])
}

/** Nothing for a server that does not say how often it tried. */
export function triesRows({ summary: { attempts } }: ReplayRun): string[][] {
  const entries = Object.entries(attempts)
  return entries.every(([tries]) => tries === '0') ? [] : entries.map(([tries, number]) => [tries, count(number)])
}
