import { expect, test } from 'vitest'
import { Reading, readingCost } from './reading.ts'

/** A place beside nine others, all of which have read as much, and itself `times` as much. */
function placeThatRead(times: number) {
  const all = new Reading()
  const reading = new Reading()
  reading.began(1_000_000 * times, 0)
  all.began(10_000_000, 0)
  return { all, costOf: (tokens: number, inFlight = 0) => readingCost({ reading, inFlight }, all, 10, tokens, 0) }
}

test('what is to be read costs less where its beginning is known, until there is too much to do', () => {
  const { costOf } = placeThatRead(1)
  expect(costOf(1_000)).toBeLessThan(costOf(12_000))
  expect(costOf(1_000, 16)).toBeCloseTo(2 * costOf(1_000), 6)
  expect(costOf(1_000, 60)).toBeGreaterThan(costOf(12_000, 2))
})

test('who has read much more than the others lately reads no more for them', () => {
  expect(placeThatRead(1.1).costOf(8_000)).toBeGreaterThan(1.3 * placeThatRead(1).costOf(8_000))
  expect(placeThatRead(1.5).costOf(1_000)).toBeGreaterThan(placeThatRead(1).costOf(12_000))
})

test('a place that is twice as slow as others counts so; small differences do not', () => {
  const all = new Reading()
  const [slow, usual] = [new Reading(), new Reading()]
  for (let n = 0; n < 500; n++) {
    slow.learn(2_000, 7_000, 0)
    usual.learn(1_000, 7_000, 0)
    all.learn(1_000, 7_000, 0)
  }
  expect(usual.slowness(all)).toBe(1)
  expect(slow.slowness(all)).toBeCloseTo(2 / 1.5, 2)
  expect(new Reading().slowness(all)).toBe(1)
})

test('what was read long ago counts less', () => {
  const reading = new Reading()
  reading.began(1_000, 0)
  expect(reading.tokens(600_000)).toBe(500)
})
