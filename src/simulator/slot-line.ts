/** A line of slots in the order in which they came, out of whose middle one can go at no cost. */
export class SlotLine {
  #next = new Int32Array(0)
  #previous = new Int32Array(0)
  #first = -1
  #last = -1

  /** The one that came first; -1 where there is none. */
  get first(): number {
    return this.#first
  }

  /** The slot must not be in the line. */
  add(slot: number): void {
    if (slot >= this.#next.length) this.#grow(slot)
    this.#next[slot] = -1
    this.#previous[slot] = this.#last
    if (this.#last < 0) this.#first = slot
    else this.#next[this.#last] = slot
    this.#last = slot
  }

  /** Nothing happens where it is not in the line. */
  remove(slot: number): void {
    const previous = this.#previous[slot]
    if (previous === undefined || (previous < 0 && this.#first !== slot)) return
    const next = this.#next[slot] as number
    if (previous < 0) this.#first = next
    else this.#next[previous] = next
    if (next < 0) this.#last = previous
    else this.#previous[next] = previous
    this.#previous[slot] = -1
  }

  #grow(slot: number): void {
    const length = Math.max(1_024, 2 * slot)
    const wider = (column: Int32Array) => {
      const next = new Int32Array(length).fill(-1)
      next.set(column)
      return next
    }
    this.#next = wider(this.#next)
    this.#previous = wider(this.#previous)
  }
}
