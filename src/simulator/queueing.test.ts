import { describe, expect, test } from 'vitest'
import { queueScenario, waitsByRecursion } from './queueing.ts'
import { run } from './testing.ts'

// Whether such means are those of theory takes many more arrivals to tell: `npm run bench:validate`.
describe('the simulator against queueing theory', () => {
  test.each([
    [1, 0.5, 40],
    [4, 0.7, 10],
    [16, 0.8, 3],
  ])(
    '%i servers at a load of %d: all wait as long as the recursion says of the same arrivals',
    (servers, load, hours) => {
      const scenario = queueScenario({ servers, load, hours, seed: 1 })
      const [tally] = run(scenario).recorder.tallies
      const waits = [...waitsByRecursion(scenario, servers)]
      const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length
      const max = waits.reduce((longest, wait) => Math.max(longest, wait), 0)
      expect(waits.length).toBeGreaterThan(5_000)
      expect(tally?.waitMs.count).toBe(waits.length)
      expect(tally?.waitMs.mean).toBeCloseTo(mean, 3)
      expect(tally?.waitMs.max).toBeCloseTo(max, 3)
    },
  )
})
