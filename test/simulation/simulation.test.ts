import { describe, expect, test } from 'vitest'
import { World } from './world.ts'

const seeds = 500
const seedsPerTest = 50
/** Some seconds for all, alone on a machine; much more where it is busy. */
const timeoutMs = 120_000
/** One seed alone: SPILLWAY_SEED=123 npm test -- test/simulation */
const onlySeed = process.env['SPILLWAY_SEED']

function simulate(seed: number): { digest: number; counts: World['witness']['counts'] } {
  const world = new World(seed, true)
  const again = new World(seed, false)
  try {
    world.run()
    again.run()
  } catch (error) {
    throw new Error(
      `seed ${seed} at ${Math.max(world.nowMs, again.nowMs)} ms: ${(error as Error).message}\n` +
        `run it again: SPILLWAY_SEED=${seed} npm test -- test/simulation`,
      { cause: error },
    )
  }
  expect(again.digest, `seed ${seed} gives the same actions twice, explained or not`).toBe(world.digest)
  return { digest: world.digest, counts: world.witness.counts }
}

describe('the scheduler keeps every rule', { timeout: timeoutMs }, () => {
  if (onlySeed !== undefined) {
    test(`with seed ${onlySeed}`, () => {
      console.log(simulate(Number(onlySeed)))
    })
    return
  }
  for (let from = 1; from <= seeds; from += seedsPerTest) {
    test(`with seeds ${from} to ${from + seedsPerTest - 1}`, () => {
      for (let seed = from; seed < from + seedsPerTest; seed++) simulate(seed)
    })
  }
})
