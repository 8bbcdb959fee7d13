/**
 * Many small heaps of numbered things in a few flat arrays, one heap for each replica: what a replica does next is at
 * the top of its own, and a hundred thousand of them cost no object. Of equal keys the smaller order comes first.
 */
export class SlotHeaps {
  readonly #begins: Int32Array
  readonly #lengths: Int32Array
  readonly #keys: Float64Array
  readonly #slots: Int32Array
  readonly #order: (slot: number) => number

  /** `capacities`: the most that each heap ever holds. */
  constructor(capacities: readonly number[], order: (slot: number) => number) {
    this.#begins = new Int32Array(capacities.length)
    this.#lengths = new Int32Array(capacities.length)
    let total = 0
    capacities.forEach((capacity, heap) => {
      this.#begins[heap] = total
      total += capacity
    })
    this.#keys = new Float64Array(total)
    this.#slots = new Int32Array(total)
    this.#order = order
  }

  size(heap: number): number {
    return this.#lengths[heap] as number
  }

  /** Infinite where the heap is empty. */
  firstKey(heap: number): number {
    return this.size(heap) === 0 ? Number.POSITIVE_INFINITY : (this.#keys[this.#begins[heap] as number] as number)
  }

  /** The things in a heap, in no order that means anything. */
  slots(heap: number): Int32Array {
    const begin = this.#begins[heap] as number
    return this.#slots.slice(begin, begin + this.size(heap))
  }

  add(heap: number, slot: number, key: number): void {
    const length = this.size(heap)
    this.#lengths[heap] = length + 1
    this.#up(heap, length, slot, key)
  }

  /** Gives the first and takes it out. The heap must not be empty. */
  removeFirst(heap: number): number {
    const slot = this.#slots[this.#begins[heap] as number] as number
    this.#removeAt(heap, 0)
    return slot
  }

  /** Gives the key it had, or undefined where it is not in this heap. */
  remove(heap: number, slot: number): number | undefined {
    const begin = this.#begins[heap] as number
    const at = this.#slots.subarray(begin, begin + this.size(heap)).indexOf(slot)
    if (at < 0) return undefined
    const key = this.#keys[begin + at] as number
    this.#removeAt(heap, at)
    return key
  }

  keyOf(heap: number, slot: number): number | undefined {
    const begin = this.#begins[heap] as number
    const at = this.#slots.subarray(begin, begin + this.size(heap)).indexOf(slot)
    return at < 0 ? undefined : this.#keys[begin + at]
  }

  /** Every key becomes `pivot + (key - pivot) · factor + shift`, which leaves the order as it is. */
  move(heap: number, pivot: number, factor: number, shift: number): void {
    const begin = this.#begins[heap] as number
    for (let at = begin; at < begin + this.size(heap); at++)
      this.#keys[at] = pivot + ((this.#keys[at] as number) - pivot) * factor + shift
  }

  #removeAt(heap: number, at: number): void {
    const begin = this.#begins[heap] as number
    const last = this.size(heap) - 1
    this.#lengths[heap] = last
    if (at === last) return
    const slot = this.#slots[begin + last] as number
    const key = this.#keys[begin + last] as number
    if (at > 0 && this.#before(key, slot, begin + ((at - 1) >> 1))) this.#up(heap, at, slot, key)
    else this.#down(heap, at, slot, key)
  }

  #up(heap: number, from: number, slot: number, key: number): void {
    const begin = this.#begins[heap] as number
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.#before(key, slot, begin + parent)) break
      this.#keys[begin + at] = this.#keys[begin + parent] as number
      this.#slots[begin + at] = this.#slots[begin + parent] as number
      at = parent
    }
    this.#keys[begin + at] = key
    this.#slots[begin + at] = slot
  }

  #down(heap: number, from: number, slot: number, key: number): void {
    const begin = this.#begins[heap] as number
    const length = this.size(heap)
    let at = from
    for (;;) {
      let child = 2 * at + 1
      if (child >= length) break
      const right = begin + child + 1
      if (child + 1 < length && this.#before(this.#keys[right] as number, this.#slots[right] as number, begin + child))
        child++
      if (this.#before(key, slot, begin + child)) break
      this.#keys[begin + at] = this.#keys[begin + child] as number
      this.#slots[begin + at] = this.#slots[begin + child] as number
      at = child
    }
    this.#keys[begin + at] = key
    this.#slots[begin + at] = slot
  }

  #before(key: number, slot: number, place: number): boolean {
    const other = this.#keys[place] as number
    return key < other || (key === other && this.#order(slot) < this.#order(this.#slots[place] as number))
  }
}
