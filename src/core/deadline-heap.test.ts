import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DeadlineHeap } from './deadline-heap.ts'

test('what falls due first comes out first', () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), (times) => {
      const heap = new DeadlineHeap<number>()
      for (const dueMs of times) heap.add(dueMs, dueMs)
      const out: number[] = []
      while (heap.length > 0) {
        expect(heap.firstDueMs).toBe(heap.first)
        out.push(heap.first as number)
        heap.removeFirst()
      }
      expect(out).toEqual([...times].sort((a, b) => a - b))
    }),
  )
})

test('an empty one is never due', () => {
  const heap = new DeadlineHeap<string>()
  heap.removeFirst()
  expect(heap.first).toBeUndefined()
  expect(heap.firstDueMs).toBe(Number.POSITIVE_INFINITY)
})
