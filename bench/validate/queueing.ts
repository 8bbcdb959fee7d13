import { meanWaitMs, queueScenario, waitsByRecursion } from '../../src/simulator/queueing.ts'
import { run } from '../../src/simulator/testing.ts'
import type { Finding } from './finding.ts'

const runs = 10
const warmUpHours = 20

/** Student's t for an interval of 95% from ten runs: nine degrees of freedom. */
const student = 2.262

/** Of the mean, to each side: an interval of 1% in all. */
const halfWidthMax = 0.005

/** Hours of one run: as many as it takes for an interval that narrow. */
const queues = [
  { servers: 1, load: 0.5, hours: 4_000, simulatedHours: 400 },
  { servers: 4, load: 0.7, hours: 4_000, simulatedHours: 200 },
  { servers: 16, load: 0.8, hours: 3_500, simulatedHours: 100 },
]

/**
 * Mean waits of M/M/k against Erlang's formula, in two steps, since waits that follow each other are alike and a mean of
 * them settles slowly: at 16 servers two million are still 2% off. First the simulator against the recursion on the same
 * arrivals, where no chance is left. Then the recursion against theory, over as many arrivals as that takes: ten runs
 * with their own chance give a mean and the interval that has the true one in it with 95%; it has to be narrower than 1%
 * and theory to lie in it.
 */
export function checkQueues(): Finding[] {
  return queues.flatMap(({ servers, load, hours, simulatedHours }) => {
    const name = `M/M/${servers} at a load of ${load}: mean wait, ms`
    const short = queueScenario({ servers, load, hours: simulatedHours, seed: 1 })
    const recursion = meanOf(waitsByRecursion(short, servers))
    const simulated = run(short).recorder.tallies[0]?.waitMs.mean ?? Number.NaN
    const means = Array.from({ length: runs }, (_, at) =>
      meanOf(waitsByRecursion(queueScenario({ servers, load, hours, warmUpHours, seed: at + 1 }), servers)),
    )
    const mean = meanOf(means)
    const variance = means.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (runs - 1)
    const halfWidth = (student * Math.sqrt(variance / runs)) / mean
    const theory = meanWaitMs(servers, load)
    return [
      {
        name: `${name}, recursion and simulator`,
        wanted: recursion,
        got: simulated,
        note: 'the same arrivals',
        holds: Math.abs(simulated / recursion - 1) < 1e-6,
      },
      {
        name: `${name}, theory and recursion`,
        wanted: theory,
        got: mean,
        note: `± ${(halfWidth * 100).toFixed(2)}% (95%)`,
        holds: halfWidth <= halfWidthMax && Math.abs(theory / mean - 1) <= halfWidth,
      },
    ]
  })
}

function meanOf(values: Iterable<number>): number {
  let sum = 0
  let count = 0
  for (const value of values) {
    sum += value
    count++
  }
  return sum / count
}
