import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SlotHeaps } from './slot-heaps.ts'

test('things leave a heap by key, of equal keys in their order, and one can be taken out of the middle', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(5), { maxLength: 40 }), fc.array(fc.nat(39), { maxLength: 10 }), (keys, taken) => {
      const heaps = new SlotHeaps([3, 40, 3], (slot) => -slot)
      keys.forEach((key, slot) => {
        heaps.add(1, slot, key)
      })
      const gone = new Set(taken.filter((slot) => heaps.remove(1, slot) !== undefined))
      const left: number[] = []
      while (heaps.size(1) > 0) left.push(heaps.removeFirst(1))
      const wanted = keys
        .map((key, slot) => ({ key, slot }))
        .filter(({ slot }) => !gone.has(slot))
        .sort((a, b) => a.key - b.key || b.slot - a.slot)
      expect(left).toEqual(wanted.map(({ slot }) => slot))
      expect([heaps.size(0), heaps.size(2)]).toEqual([0, 0])
    }),
  )
})
