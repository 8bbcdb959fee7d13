/** Something that can be in one `SlotSet` at a time. */
export interface Slotted {
  /** Its place there; -1 while it is in none. Only the set writes it. */
  slot: number
}

/**
 * A set of what comes and goes all the time, each member knowing its place: adding and removing is a store or two, and
 * what was removed is gone (a long-lived `Set` keeps it, see `FlatMap`). In no particular order.
 */
export class SlotSet<T extends Slotted> {
  readonly #members: T[] = []

  get size(): number {
    return this.#members.length
  }

  add(member: T): void {
    if (member.slot >= 0) return
    member.slot = this.#members.length
    this.#members.push(member)
  }

  delete(member: T): void {
    if (member.slot < 0) return
    const last = this.#members.pop() as T
    if (last !== member) {
      last.slot = member.slot
      this.#members[member.slot] = last
    }
    member.slot = -1
  }

  /** All there are now; stays as it is while members come and go. */
  values(): T[] {
    return this.#members.slice()
  }
}
