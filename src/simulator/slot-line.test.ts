import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SlotLine } from './slot-line.ts'

test('the first is always the one that came first of those that have not gone', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(2_000), { maxLength: 100 }), (slots) => {
      const line = new SlotLine()
      const wanted: number[] = []
      for (const slot of slots) {
        const at = wanted.indexOf(slot)
        if (at >= 0) {
          line.remove(slot)
          line.remove(slot)
          wanted.splice(at, 1)
        } else {
          line.add(slot)
          wanted.push(slot)
        }
        expect(line.first).toBe(wanted[0] ?? -1)
      }
    }),
  )
})
