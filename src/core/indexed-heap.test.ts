import { expect, test } from 'vitest'
import { type HeapItem, IndexedHeap } from './indexed-heap.ts'
import { seededRandom } from './random.ts'

test('a heap has the smallest first, whatever is added, taken out or given another key; of equals the first by order', () => {
  const random = seededRandom(3)
  const int = (below: number) => Math.floor(random.next() * below)
  const heap = new IndexedHeap<HeapItem>()
  const keys = new Map<HeapItem, number>()
  for (let order = 0; order < 5_000; order++) {
    const item = { order, heapAt: -1 }
    const key = int(40)
    heap.add(item, key)
    keys.set(item, key)
    const items = [...keys.keys()]
    const other = items[int(items.length)] as HeapItem
    const what = int(3)
    if (what > 0) {
      heap.remove(other)
      keys.delete(other)
      expect(other.heapAt).toBe(-1)
    } else {
      keys.set(other, int(40))
      heap.rekey(other, keys.get(other) as number)
    }
    const [first] = [...keys].sort(([a, one], [b, two]) => one - two || a.order - b.order)
    expect(heap.first).toBe(first?.[0])
    expect(heap.length).toBe(keys.size)
  }
})
