import type { TimeSeries } from './recorder.ts'
import type { Fault } from './scenario-schema.ts'

/** How the service came back after one fault. */
export interface Recovery {
  readonly fault: string
  readonly startSeconds: number
  readonly endSeconds: number
  /** Share of the requests of the minute before the fault that were served well. */
  readonly before: number
  /** Least such share over ten seconds while it lasted. */
  readonly worst: number
  /**
   * Seconds after its end until at least 99% of the earlier share were served well again for ten seconds; null where
   * that was not reached. Absent where the run ends too early to say.
   */
  readonly recoverySeconds?: number | null
}

const beforeSeconds = 60
const windowSeconds = 10
const wantedShare = 0.99

/** `offered`, `good`: by the second in which requests were made. */
export function recoveriesOf(faults: readonly Fault[], offered: TimeSeries, good: TimeSeries): Recovery[] {
  const seconds = offered.values.length
  return faults.map((fault) => {
    const startSeconds = Math.floor(fault.at / 1_000)
    const endSeconds = Math.ceil(endOf(fault) / 1_000)
    const share = (from: number, to: number) => {
      const asked = sum(offered.values, from, to)
      return asked === 0 ? 1 : sum(good.values, from, to) / asked
    }
    const before = share(Math.max(0, startSeconds - beforeSeconds), startSeconds)
    let worst = 1
    for (let from = startSeconds; from < Math.min(endSeconds, seconds); from += windowSeconds)
      worst = Math.min(worst, share(from, from + windowSeconds))
    const common = { fault: nameOf(fault), startSeconds, endSeconds, before, worst }
    // The requests of the last seconds have not all ended.
    const lastSecond = seconds - 2 * windowSeconds
    if (endSeconds > lastSecond) return common
    for (let from = endSeconds; from <= lastSecond; from++)
      if (share(from, from + windowSeconds) >= wantedShare * before)
        return { ...common, recoverySeconds: from - endSeconds }
    return { ...common, recoverySeconds: null }
  })
}

/** When the last of it is mended, ms. */
function endOf(fault: Fault): number {
  return fault.at + fault.for
}

export function nameOf(fault: Fault): string {
  if (!('where' in fault)) return fault.kind
  const { pools, subProcessor, country, region } = fault.where
  const place = [subProcessor, region, country, ...(pools ?? [])].filter((part) => part !== undefined).join(' ')
  return place === '' ? fault.kind : `${fault.kind} ${place}`
}

function sum(values: Float64Array, from: number, to: number): number {
  let total = 0
  for (let at = Math.max(0, from); at < Math.min(to, values.length); at++) total += values[at] as number
  return total
}
