import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SlotSet, type Slotted } from './slot-set.ts'

test('a slot set holds at any time what a set would hold', () => {
  const steps = fc.array(fc.tuple(fc.boolean(), fc.nat({ max: 20 })), { maxLength: 500 })
  fc.assert(
    fc.property(steps, (told) => {
      const things: Slotted[] = Array.from({ length: 21 }, () => ({ slot: -1 }))
      const slots = new SlotSet<Slotted>()
      const set = new Set<Slotted>()
      for (const [adds, n] of told) {
        const thing = things[n] as Slotted
        if (adds) {
          slots.add(thing)
          set.add(thing)
        } else {
          slots.delete(thing)
          set.delete(thing)
        }
        expect(slots.size).toBe(set.size)
        expect(new Set(slots.values())).toEqual(set)
      }
      expect(things.filter(({ slot }) => slot >= 0).length).toBe(set.size)
    }),
  )
})
