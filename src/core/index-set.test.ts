import fc from 'fast-check'
import { expect, test } from 'vitest'
import { IndexSet } from './index-set.ts'
import { eligibilityOf } from './request.ts'

test('finds exactly those that are in it and eligible, in order, from any place on', () => {
  const indices = fc.uniqueArray(fc.nat({ max: 199 }))
  fc.assert(
    fc.property(indices, indices, indices, fc.nat({ max: 220 }), (added, removed, allowed, from) => {
      const set = new IndexSet(200)
      for (const index of added) set.set(index, true)
      for (const index of removed) set.set(index, false)
      const eligible = eligibilityOf(allowed, 200, 1)
      const expected = allowed
        .filter((index) => index >= from && added.includes(index) && !removed.includes(index))
        .sort((a, b) => a - b)
      const found: number[] = []
      for (let at = set.next(eligible, from); at >= 0; at = set.next(eligible, at + 1)) found.push(at)
      expect(found).toEqual(expected)
      for (const index of found) expect(set.has(index)).toBe(true)
      expect(set.size).toBe(added.filter((index) => !removed.includes(index)).length)
    }),
  )
})
