import { describe, expect, test } from 'vitest'
import { serviceTermsOf, timesOf } from './service-class.ts'

describe('a class', () => {
  test('of a plan alone goes before the plan in its priority tier, after all plans in flex, and last in batch', () => {
    const priorities = (['priority', 'default', 'flex', 'batch'] as const).map(
      (tier) => serviceTermsOf('team', 20, tier).serviceClass.priority,
    )
    expect(priorities).toEqual([25, 20, -980, -1980])
  })

  test('takes what the configuration says of its tier', () => {
    const terms = { priority: 3, floor: 0.2, weight: 2, deadlineMs: 900, saturationMax: 0.7 }
    expect(serviceTermsOf('team', 20, 'flex', terms)).toEqual({
      serviceClass: { name: 'team/flex', tier: 'flex', priority: 3, floor: 0.2, weight: 2, saturationMax: 0.7 },
      deadlineMs: 900,
    })
  })
})

test('work that nobody waits for leaves room, and batch leaves more than flex', () => {
  const ceilings = (['priority', 'default', 'flex', 'batch'] as const).map(
    (tier) => serviceTermsOf('team', 20, tier).serviceClass.saturationMax,
  )
  expect(ceilings).toEqual([undefined, undefined, 0.9, 0.8])
})

describe('the times of a request', () => {
  test('leave an interactive one without a deadline its wait, and a first try that is given up', () => {
    expect(timesOf(serviceTermsOf('team', 20, 'default'), 10_000, 60_000)).toEqual({
      waitMsMax: 10_000,
      deadlineMs: 70_000,
    })
  })

  test('let an interactive one wait no longer than anybody may, however late its deadline', () => {
    const late = serviceTermsOf('team', 20, 'default', { deadlineMs: 30_000 })
    expect(timesOf(late, 10_000, 60_000)).toEqual({ waitMsMax: 10_000, deadlineMs: 30_000 })
    const soon = serviceTermsOf('team', 20, 'priority', { deadlineMs: 2_000 })
    expect(timesOf(soon, 10_000, 60_000)).toEqual({ waitMsMax: 2_000, deadlineMs: 2_000 })
  })

  test('let work that nobody waits for wait until its deadline', () => {
    expect(timesOf(serviceTermsOf('team', 20, 'batch'), 10_000, 60_000)).toEqual({
      waitMsMax: 86_400_000,
      deadlineMs: 86_400_000,
    })
  })
})
