import { expect, test } from 'vitest'
import { seededRandom } from './random.ts'
import { RetryBudget } from './retry-budget.ts'

function spend(budget: RetryBudget, nowMs: number): number {
  let retries = 0
  for (; budget.canRetry(nowMs); retries++) budget.made('retry', nowMs)
  return retries
}

test('three retries are free, and each five first tries allow one more', () => {
  const budget = new RetryBudget()
  expect(spend(budget, 0)).toBe(3)
  for (let n = 0; n < 4; n++) budget.made('first', 100)
  expect(spend(budget, 100)).toBe(0)
  budget.made('first', 100)
  expect(spend(budget, 100)).toBe(1)
})

test('what is older than ten seconds counts no more', () => {
  const budget = new RetryBudget()
  for (let n = 0; n < 50; n++) budget.made('first', 0)
  expect(spend(budget, 0)).toBe(13)
  expect(spend(budget, 9_999)).toBe(0)
  expect(spend(budget, 11_000)).toBe(3)
})

test('in no ten seconds are there more retries than a fifth of the first tries and three', () => {
  const random = seededRandom(3)
  const budget = new RetryBudget()
  const made: { readonly atMs: number; readonly retry: boolean }[] = []
  for (let nowMs = 0; nowMs < 120_000; nowMs += Math.floor(120 * random.next())) {
    const retry = random.next() < 0.6
    if (retry && !budget.canRetry(nowMs)) continue
    budget.made(retry ? 'retry' : 'first', nowMs)
    made.push({ atMs: nowMs, retry })
    const recent = made.filter(({ atMs }) => atMs > nowMs - 10_000)
    const retries = recent.filter((one) => one.retry).length
    if (retry) expect(retries).toBeLessThanOrEqual(0.2 * (recent.length - retries) + 3)
  }
  expect(made.filter(({ retry }) => retry).length).toBeGreaterThan(50)
})

test('with much traffic no second has more retries than a fifth of its own first tries', () => {
  const budget = new RetryBudget()
  for (let second = 0; second < 10; second++) {
    for (let n = 0; n < 40; n++) budget.made('first', second * 1_000)
  }
  // Eighty would be a fifth of ten seconds.
  expect(spend(budget, 9_500)).toBe(8)
  expect(spend(budget, 10_000)).toBe(0)
  for (let n = 0; n < 5; n++) budget.made('first', 10_200)
  expect(spend(budget, 10_300)).toBe(1)
})

test('a try that was not made is not counted, neither as one kind nor as the other', () => {
  const budget = new RetryBudget()
  spend(budget, 0)
  budget.unmade('retry', 0, 500)
  expect(spend(budget, 500)).toBe(1)
  for (let n = 0; n < 5; n++) budget.made('first', 1_000)
  budget.unmade('first', 1_000, 1_500)
  expect(spend(budget, 1_500)).toBe(0)
})

test('a try that was not made, and has fallen out already, changes nothing', () => {
  const budget = new RetryBudget()
  budget.made('retry', 0)
  budget.unmade('retry', 0, 60_000)
  expect(spend(budget, 60_000)).toBe(3)
})
