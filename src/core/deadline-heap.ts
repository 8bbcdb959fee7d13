/** A binary heap of things that fall due. Removal is lazy: whoever takes one out looks whether it still counts. */
export class DeadlineHeap<T> {
  readonly #dueMs: number[] = []
  readonly #items: T[] = []

  get length(): number {
    return this.#items.length
  }

  /** When the first falls due; infinite where there is none. */
  get firstDueMs(): number {
    return this.#dueMs[0] ?? Number.POSITIVE_INFINITY
  }

  get first(): T | undefined {
    return this.#items[0]
  }

  add(item: T, dueMs: number): void {
    let at = this.#items.length
    this.#items.push(item)
    this.#dueMs.push(dueMs)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if ((this.#dueMs[parent] as number) <= dueMs) break
      this.#move(parent, at)
      at = parent
    }
    this.#items[at] = item
    this.#dueMs[at] = dueMs
  }

  removeFirst(): void {
    const item = this.#items.pop()
    const dueMs = this.#dueMs.pop()
    const { length } = this.#items
    if (length === 0 || item === undefined || dueMs === undefined) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= length) break
      if (child + 1 < length && (this.#dueMs[child + 1] as number) < (this.#dueMs[child] as number)) child++
      if ((this.#dueMs[child] as number) >= dueMs) break
      this.#move(child, at)
      at = child
    }
    this.#items[at] = item
    this.#dueMs[at] = dueMs
  }

  #move(from: number, to: number): void {
    this.#items[to] = this.#items[from] as T
    this.#dueMs[to] = this.#dueMs[from] as number
  }
}
