import { recoveriesOf } from './recovery.ts'
import type { Fault, FaultPlace, Scenario } from './scenario-schema.ts'
import type { Outcome } from './simulation.ts'
import { Stream } from './stream.ts'

const faultsMax = 4
const recoverySecondsMax = 60
/** Faults begin when the fleet is warm and end early enough to see it recover. */
const calmShare = 0.2
const secondMs = 1_000

/** The same scenario in another universe: other chance, and other faults than its own, all drawn from the seed. */
export function universeOf(scenario: Scenario, seed: number): Scenario {
  const stream = new Stream(seed, 'universe')
  const faults = Array.from({ length: 1 + stream.below(faultsMax) }, () => drawFault(scenario, stream))
  return { ...scenario, seed, faults: faults.sort((a, b) => a.at - b.at) }
}

function drawFault(scenario: Scenario, stream: Stream): Fault {
  const { duration, pools } = scenario
  const whole = (ms: number) => Math.max(1, Math.round(ms / secondMs)) * secondMs
  const at = whole(duration * (calmShare + 0.3 * stream.next()))
  const forMs = whole(Math.min(10 * 60 * secondMs, duration * (0.02 + 0.2 * stream.next())))
  const during = { at, for: forMs }
  const where = drawPlace(Object.keys(pools), scenario, stream)
  const share = 0.1 + 0.9 * stream.next()
  const kinds: readonly (() => Fault)[] = [
    () => ({ kind: 'loss', ...during, where, share, silent: stream.next() < 0.5, restart: false }),
    () => ({ kind: 'slow', ...during, where, share, times: 1.5 + 6 * stream.next() }),
    () => ({ kind: 'errors', ...during, where, share }),
    () => ({ kind: 'rate-limits', ...during, where, share, retryAfter: whole(5_000 * stream.next()) }),
    () => ({ kind: 'stall', ...during, where, share }),
    () => ({ kind: 'control-plane', ...during, where, refused: share }),
    () => ({ kind: 'surge', ...during, times: 1 + 2 * stream.next() }),
    () => ({ kind: 'retry-storm', ...during, retries: 1 + stream.below(5), backoff: 100 + stream.below(900) }),
  ]
  return (kinds[stream.below(kinds.length)] as () => Fault)()
}

function drawPlace(pools: readonly string[], scenario: Scenario, stream: Stream): FaultPlace {
  const pool = pools[stream.below(pools.length)] as string
  const { subProcessor, country } = scenario.pools[pool] as Scenario['pools'][string]
  return [{ pools: [pool] }, { subProcessor }, { country }, { subProcessor, country }][stream.below(4)] as FaultPlace
}

/** What did not hold in a run, in words; empty where all held. */
export function complaintsOf({ violations, recorder, scenario }: Outcome): string[] {
  const complaints = violations.map(({ rule, detail }) => `${rule}: ${detail}`)
  if (recorder.residencyBreaches > 0) complaints.push(`residency: ${recorder.residencyBreaches} breaches`)
  // Faults overlap: the service can be asked to be back only when the last of them is over.
  const endMs = Math.max(0, ...scenario.faults.map((fault) => fault.at + fault.for))
  const startMs = Math.min(...scenario.faults.map(({ at }) => at))
  const whole = [{ kind: 'surge', at: startMs, for: endMs - startMs, times: 1 }] as const
  for (const { recoverySeconds } of scenario.faults.length === 0
    ? []
    : recoveriesOf(whole, recorder.offeredBySecond, recorder.goodBySecond)) {
    if (recoverySeconds === null || (recoverySeconds ?? 0) > recoverySecondsMax)
      complaints.push(
        `recovery: not back within ${recoverySecondsMax} s of the last fault's end (${recoverySeconds ?? 'not in this run'})`,
      )
  }
  return complaints
}

/**
 * A smaller scenario that fails as well: faults are left out one by one, then the rest are made shorter and the run cut
 * behind them, for as long as it still fails. `fails` runs one.
 */
export function shrink(scenario: Scenario, fails: (smaller: Scenario) => boolean): Scenario {
  let smallest = scenario
  for (let changed = true; changed; ) {
    changed = false
    for (const candidate of smallerThan(smallest)) {
      if (!fails(candidate)) continue
      smallest = candidate
      changed = true
      break
    }
  }
  return smallest
}

const recoveryTailMs = 120 * secondMs

function* smallerThan(scenario: Scenario): Generator<Scenario> {
  const { faults, duration } = scenario
  for (let out = 0; out < faults.length; out++)
    yield { ...scenario, faults: faults.filter((_, index) => index !== out) }
  for (let at = 0; at < faults.length; at++) {
    const fault = faults[at] as Fault
    if (fault.for < 2 * secondMs) continue
    const shorter = { ...fault, for: Math.floor(fault.for / 2 / secondMs) * secondMs }
    yield { ...scenario, faults: faults.with(at, shorter) }
  }
  const endMs = Math.max(0, ...faults.map((fault) => fault.at + fault.for)) + recoveryTailMs
  if (endMs < duration) yield { ...scenario, duration: endMs }
}
