import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BrownoutLevel, type BrownoutStep, brownoutEffect } from './brownout.ts'

const step = (above: number, setting: Partial<BrownoutStep> = {}): BrownoutStep => ({
  above,
  models: {},
  without: [],
  refuse: false,
  ...setting,
})
const steps = [step(0.9), step(1.2), step(2)]

/** The level after each of these pressures has lasted for its time. */
function levelsAfter(spans: readonly (readonly [pressure: number, forMs: number])[]): number[] {
  const level = new BrownoutLevel()
  let nowMs = 0
  return spans.map(([pressure, forMs]) => {
    for (const endMs = nowMs + forMs; nowMs < endMs; nowMs += 50) level.now(steps, () => pressure, nowMs)
    return level.level
  })
}

describe('how far down the steps a class is', () => {
  test('follows a pressure that lasts, there and back', () => {
    const spans = [
      [0.5, 1_000],
      [1, 30_000],
      [1.5, 30_000],
      [9, 30_000],
      [0.5, 60_000],
    ] as const
    expect(levelsAfter(spans)).toEqual([0, 1, 2, 3, 0])
  })

  test('is not moved by a burst that a queue takes up', () => {
    expect(
      levelsAfter([
        [0.5, 5_000],
        [1.5, 500],
      ]),
    ).toEqual([0, 0])
  })

  test('stays where the pressure is only a little below the beginning of its last step', () => {
    expect(
      levelsAfter([
        [1.3, 30_000],
        [1.1, 60_000],
        [1, 60_000],
      ]),
    ).toEqual([2, 2, 1])
  })

  test('comes back within half a minute once places that were all out are back', () => {
    expect(
      levelsAfter([
        [Number.POSITIVE_INFINITY, 60_000],
        [0.2, 30_000],
      ]),
    ).toEqual([3, 0])
  })

  test('is never above what the largest pressure, nor below what the smallest, would make it', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 5, noNaN: true }), { minLength: 1 }), (pressures) => {
        const level = new BrownoutLevel()
        let at = 0
        const levelFor = (pressure: number) => steps.filter(({ above }) => above <= pressure).length
        for (const pressure of pressures) {
          const now = level.now(steps, () => pressure, at)
          at += 250
          expect(now).toBeLessThanOrEqual(levelFor(Math.max(...pressures)))
          expect(now).toBeGreaterThanOrEqual(levelFor(Math.min(...pressures)))
        }
      }),
    )
  })

  test('goes along where there are fewer steps than before', () => {
    const level = new BrownoutLevel()
    expect(level.now(steps, () => 3, 0)).toBe(3)
    expect(level.now(steps.slice(0, 1), () => 3, 1_000)).toBe(1)
  })
})

test('steps add up, and of two words on the same thing the later one holds', () => {
  const list = [
    step(1, { models: { a: 'b' }, outputTokensMax: 900, without: ['tools'] }),
    step(2, { models: { a: 'c', d: 'e' }, without: ['choices', 'tools'], waitMs: 7 }),
    step(3, { outputTokensMax: 100, refuse: true }),
  ]
  expect(brownoutEffect(list, 0)).toEqual({ models: {}, without: [], refuse: false })
  expect(brownoutEffect(list, 2)).toEqual({
    models: { a: 'c', d: 'e' },
    outputTokensMax: 900,
    without: ['tools', 'choices'],
    waitMs: 7,
    refuse: false,
  })
  expect(brownoutEffect(list, 3)).toMatchObject({ outputTokensMax: 100, refuse: true })
})
