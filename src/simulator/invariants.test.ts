import { describe, expect, test } from 'vitest'
import { Invariants } from './invariants.ts'

describe('Little’s law', () => {
  const violationsOf = (inFlightMs: number) => {
    const invariants = new Invariants([], 3, 1_000)
    invariants.stayed(500, 900) // over before the report begins
    invariants.stayed(800, 1_500)
    invariants.stayed(1_200, 2_200)
    invariants.countedInFlight(inFlightMs)
    return invariants.violations.map(({ rule }) => rule)
  }

  test('holds where what was counted in flight over time is what requests stayed', () => {
    expect(violationsOf(1_500)).toEqual([])
  })

  test('is broken where one stay was counted twice, or not at all', () => {
    expect(violationsOf(2_500)).toEqual(['Little'])
    expect(violationsOf(500)).toEqual(['Little'])
  })
})
