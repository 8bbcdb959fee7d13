/**
 * Many small heaps of numbered things in one flat array, one heap for each replica: what a replica does next is at the
 * top of its own, and a hundred thousand of them cost no object. Of equal keys the smaller order comes first.
 */
export class SlotHeaps {
  /**
   * Of each heap its length, then key and slot of each entry, side by side: what a look at the first entry needs lies in
   * one place, which is most of what it costs where there are very many heaps.
   */
  readonly #cells: Float64Array
  /** Where in the cells each heap begins. */
  readonly #begins: Int32Array
  readonly #order: (slot: number) => number

  /** `capacities`: the most that each heap ever holds. */
  constructor(capacities: readonly number[], order: (slot: number) => number) {
    this.#begins = new Int32Array(capacities.length)
    let total = 0
    capacities.forEach((capacity, heap) => {
      this.#begins[heap] = total
      total += 1 + 2 * capacity
    })
    this.#cells = new Float64Array(total)
    this.#order = order
  }

  size(heap: number): number {
    return this.#cells[this.#begins[heap] as number] as number
  }

  /** Infinite where the heap is empty. */
  firstKey(heap: number): number {
    const begin = this.#begins[heap] as number
    return this.#cells[begin] === 0 ? Number.POSITIVE_INFINITY : (this.#cells[begin + 1] as number)
  }

  /** The things in a heap, in no order that means anything. */
  slots(heap: number): Int32Array {
    const begin = this.#begins[heap] as number
    return Int32Array.from({ length: this.size(heap) }, (_, at) => this.#cells[begin + 2 + 2 * at] as number)
  }

  add(heap: number, slot: number, key: number): void {
    const begin = this.#begins[heap] as number
    const length = this.#cells[begin] as number
    this.#cells[begin] = length + 1
    this.#up(begin, length, slot, key)
  }

  /** Gives the first and takes it out. The heap must not be empty. */
  removeFirst(heap: number): number {
    const begin = this.#begins[heap] as number
    const slot = this.#cells[begin + 2] as number
    this.#removeAt(begin, 0)
    return slot
  }

  /** Gives the key it had, or undefined where it is not in this heap. */
  remove(heap: number, slot: number): number | undefined {
    const begin = this.#begins[heap] as number
    const at = this.#placeOf(begin, slot)
    if (at < 0) return undefined
    const key = this.#cells[begin + 1 + 2 * at] as number
    this.#removeAt(begin, at)
    return key
  }

  keyOf(heap: number, slot: number): number | undefined {
    const begin = this.#begins[heap] as number
    const at = this.#placeOf(begin, slot)
    return at < 0 ? undefined : this.#cells[begin + 1 + 2 * at]
  }

  /** Every key becomes `pivot + (key - pivot) · factor + shift`, which leaves the order as it is. */
  move(heap: number, pivot: number, factor: number, shift: number): void {
    const begin = this.#begins[heap] as number
    const end = begin + 1 + 2 * this.size(heap)
    for (let at = begin + 1; at < end; at += 2)
      this.#cells[at] = pivot + ((this.#cells[at] as number) - pivot) * factor + shift
  }

  #placeOf(begin: number, slot: number): number {
    const length = this.#cells[begin] as number
    for (let at = 0; at < length; at++) if (this.#cells[begin + 2 + 2 * at] === slot) return at
    return -1
  }

  #removeAt(begin: number, at: number): void {
    const last = (this.#cells[begin] as number) - 1
    this.#cells[begin] = last
    if (at === last) return
    const key = this.#cells[begin + 1 + 2 * last] as number
    const slot = this.#cells[begin + 2 + 2 * last] as number
    if (at > 0 && this.#before(key, slot, begin + 1 + 2 * ((at - 1) >> 1))) this.#up(begin, at, slot, key)
    else this.#down(begin, at, slot, key)
  }

  #up(begin: number, from: number, slot: number, key: number): void {
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      const cell = begin + 1 + 2 * parent
      if (!this.#before(key, slot, cell)) break
      this.#put(begin, at, this.#cells[cell] as number, this.#cells[cell + 1] as number)
      at = parent
    }
    this.#put(begin, at, key, slot)
  }

  #down(begin: number, from: number, slot: number, key: number): void {
    const cells = this.#cells
    const length = cells[begin] as number
    let at = from
    for (;;) {
      let child = 2 * at + 1
      if (child >= length) break
      let cell = begin + 1 + 2 * child
      if (child + 1 < length && this.#before(cells[cell + 2] as number, cells[cell + 3] as number, cell)) {
        child++
        cell += 2
      }
      if (this.#before(key, slot, cell)) break
      this.#put(begin, at, cells[cell] as number, cells[cell + 1] as number)
      at = child
    }
    this.#put(begin, at, key, slot)
  }

  #put(begin: number, at: number, key: number, slot: number): void {
    this.#cells[begin + 1 + 2 * at] = key
    this.#cells[begin + 2 + 2 * at] = slot
  }

  /** Does this entry come before the one in the cell? */
  #before(key: number, slot: number, cell: number): boolean {
    const other = this.#cells[cell] as number
    return key < other || (key === other && this.#order(slot) < this.#order(this.#cells[cell + 1] as number))
  }
}
