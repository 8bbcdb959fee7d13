import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Agenda } from './agenda.ts'

test('the earliest entity comes first, of equals the lower number, however often they change their minds', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(19), fc.oneof(fc.nat(10), fc.constant(Number.POSITIVE_INFINITY))), { maxLength: 200 }),
      (changes) => {
        const agenda = new Agenda(20)
        const due = new Array<number>(20).fill(Number.POSITIVE_INFINITY)
        for (const [entity, dueMs] of changes) {
          agenda.set(entity, dueMs)
          due[entity] = dueMs
          const firstMs = Math.min(...due)
          expect(agenda.firstMs).toBe(firstMs)
          if (Number.isFinite(firstMs)) expect(agenda.first).toBe(due.indexOf(firstMs))
        }
      },
    ),
  )
})
