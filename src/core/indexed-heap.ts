/** What a heap orders: it knows where it stands, so that one whose key has changed is found at once. */
export interface HeapItem {
  /** Of equal keys the smaller goes first. */
  readonly order: number
  /** Its place in the heap; -1 while it is in none. Kept by the heap. */
  heapAt: number
}

/** Four children each: half as deep as a binary heap, and the four keys that are compared lie side by side. */
const children = 4

/** A heap of items by a number, the smallest first, out of which any can be taken, and in which any number can change. */
export class IndexedHeap<T extends HeapItem> {
  readonly #items: T[] = []
  readonly #keys: number[] = []

  get length(): number {
    return this.#items.length
  }

  get first(): T | undefined {
    return this.#items[0]
  }

  /** All items, the first one first, the others in no particular order. */
  get items(): readonly T[] {
    return this.#items
  }

  add(item: T, key: number): void {
    this.#items.push(item)
    this.#keys.push(key)
    this.#rise(item, key, this.#items.length - 1)
  }

  remove(item: T): void {
    const at = item.heapAt
    const last = this.#items.pop() as T
    const key = this.#keys.pop() as number
    item.heapAt = -1
    if (last !== item) this.#place(last, key, at)
  }

  /** The item's key has changed, up or down. */
  rekey(item: T, key: number): void {
    this.#place(item, key, item.heapAt)
  }

  #place(item: T, key: number, at: number): void {
    const parent = (at - 1) >> 2
    if (at > 0 && this.#isBefore(item, key, parent)) this.#rise(item, key, at)
    else this.#sink(item, key, at)
  }

  #rise(item: T, key: number, from: number): void {
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 2
      if (!this.#isBefore(item, key, parent)) break
      this.#put(this.#items[parent] as T, this.#keys[parent] as number, at)
      at = parent
    }
    this.#put(item, key, at)
  }

  #sink(item: T, key: number, from: number): void {
    const keys = this.#keys
    const { length } = keys
    let at = from
    for (;;) {
      let least = children * at + 1
      if (least >= length) break
      const end = Math.min(least + children, length)
      for (let child = least + 1; child < end; child++)
        if (this.#isBefore(this.#items[child] as T, keys[child] as number, least)) least = child
      if (this.#isBefore(item, key, least)) break
      this.#put(this.#items[least] as T, keys[least] as number, at)
      at = least
    }
    this.#put(item, key, at)
  }

  #isBefore(item: T, key: number, other: number): boolean {
    const otherKey = this.#keys[other] as number
    return key !== otherKey ? key < otherKey : item.order < (this.#items[other] as T).order
  }

  #put(item: T, key: number, at: number): void {
    this.#items[at] = item
    this.#keys[at] = key
    item.heapAt = at
  }
}
