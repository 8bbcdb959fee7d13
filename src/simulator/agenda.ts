/**
 * What happens next among many entities, of which each knows its own next moment: a heap over the entities, four
 * children to a node, with their places in it. Together with the small heaps inside the entities it is the two-level
 * event set. Order is total: time, then entity; an entity orders its own events.
 */
export class Agenda {
  readonly #dueMs: Float64Array
  readonly #heap: Int32Array
  readonly #places: Int32Array

  /** Entities are numbered from 0; none has anything to do yet. */
  constructor(entities: number) {
    this.#dueMs = new Float64Array(entities).fill(Number.POSITIVE_INFINITY)
    this.#heap = Int32Array.from({ length: entities }, (_, entity) => entity)
    this.#places = Int32Array.from(this.#heap)
  }

  /** Who comes next; any entity where all are idle. */
  get first(): number {
    return this.#heap[0] as number
  }

  /** When; infinite where all are idle. */
  get firstMs(): number {
    return this.#dueMs[this.first] as number
  }

  dueMs(entity: number): number {
    return this.#dueMs[entity] as number
  }

  /** `dueMs`: the entity's next moment, infinite where it has none. */
  set(entity: number, dueMs: number): void {
    const earlier = dueMs < (this.#dueMs[entity] as number)
    this.#dueMs[entity] = dueMs
    if (earlier) this.#up(entity, this.#places[entity] as number)
    else this.#down(entity, this.#places[entity] as number)
  }

  #up(entity: number, from: number): void {
    const heap = this.#heap
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 2
      const other = heap[parent] as number
      if (!this.#before(entity, other)) break
      heap[at] = other
      this.#places[other] = at
      at = parent
    }
    heap[at] = entity
    this.#places[entity] = at
  }

  #down(entity: number, from: number): void {
    const heap = this.#heap
    const { length } = heap
    let at = from
    for (;;) {
      const begin = 4 * at + 1
      if (begin >= length) break
      const end = Math.min(begin + 4, length)
      let least = begin
      for (let child = begin + 1; child < end; child++)
        if (this.#before(heap[child] as number, heap[least] as number)) least = child
      const other = heap[least] as number
      if (!this.#before(other, entity)) break
      heap[at] = other
      this.#places[other] = at
      at = least
    }
    heap[at] = entity
    this.#places[entity] = at
  }

  #before(a: number, b: number): boolean {
    const aMs = this.#dueMs[a] as number
    const bMs = this.#dueMs[b] as number
    return aMs < bMs || (aMs === bMs && a < b)
  }
}
