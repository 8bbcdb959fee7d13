import { hashText } from './rendezvous.ts'

/**
 * A map for what comes and goes all the time: requests in flight, by their ids.
 *
 * A `Map` that lives long keeps what is long gone: V8 moves its table to the old generation, puts each table that
 * replaces it there too, and every table that was replaced still holds the entries it had until the next full
 * collection. All that hangs on a request is then carried over as if it lived. Here an entry that is removed is gone.
 * (Measured with Node 26, 40 objects in flight: an aged `Map` or `Set` takes 2 to 7 times as long as a young one.)
 *
 * Open addressing with linear probing, at most half full; removal closes the gap, so there are no tombstones. Where
 * hundreds of thousands are in flight, every piece of memory that a search looks at is one that it waits for: it looks
 * at hashes, which lie close together, and at one entry, whose key and value lie side by side.
 */
export class FlatMap<K extends string | number, V> {
  /** By slot; 0 where there is nothing. */
  #hashes = new Int32Array(slotsMin)
  /** The key of slot `s` at `2 * s`, its value behind it. */
  #entries: (K | V | undefined)[] = empty(slotsMin)
  #size = 0

  get size(): number {
    return this.#size
  }

  has(key: K): boolean {
    return this.#hashes[this.#slotOf(key, hash(key))] !== 0
  }

  get(key: K): V | undefined {
    return this.#entries[2 * this.#slotOf(key, hash(key)) + 1] as V | undefined
  }

  set(key: K, value: V): void {
    const hashed = hash(key)
    let slot = this.#slotOf(key, hashed)
    if (this.#hashes[slot] === 0) {
      this.#size++
      if (this.#size * 2 > this.#hashes.length) {
        this.#grow()
        slot = this.#slotOf(key, hashed)
      }
      this.#hashes[slot] = hashed
      this.#entries[2 * slot] = key
    }
    this.#entries[2 * slot + 1] = value
  }

  /** Gives false where there was none. */
  delete(key: K): boolean {
    const hashes = this.#hashes
    const entries = this.#entries
    const mask = hashes.length - 1
    let gap = this.#slotOf(key, hash(key))
    if (hashes[gap] === 0) return false
    for (let slot = (gap + 1) & mask; hashes[slot] !== 0; slot = (slot + 1) & mask) {
      // An entry may move up to the gap if its search passes there on its way.
      const wayToHere = (slot - (hashes[slot] as number)) & mask
      if (wayToHere < ((slot - gap) & mask)) continue
      hashes[gap] = hashes[slot] as number
      entries[2 * gap] = entries[2 * slot]
      entries[2 * gap + 1] = entries[2 * slot + 1]
      gap = slot
    }
    hashes[gap] = 0
    entries[2 * gap] = undefined
    entries[2 * gap + 1] = undefined
    this.#size--
    return true
  }

  /** All there are now, in no particular order. */
  values(): V[] {
    const found: V[] = []
    for (let slot = 0; slot < this.#hashes.length; slot++)
      if (this.#hashes[slot] !== 0) found.push(this.#entries[2 * slot + 1] as V)
    return found
  }

  /** Where the key is, or where it would go. */
  #slotOf(key: K, hashed: number): number {
    const hashes = this.#hashes
    const mask = hashes.length - 1
    let slot = hashed & mask
    while (hashes[slot] !== 0 && (hashes[slot] !== hashed || this.#entries[2 * slot] !== key)) slot = (slot + 1) & mask
    return slot
  }

  #grow(): void {
    const hashes = this.#hashes
    const entries = this.#entries
    this.#hashes = new Int32Array(hashes.length * 2)
    this.#entries = empty(hashes.length * 2)
    hashes.forEach((hashed, index) => {
      if (hashed === 0) return
      const slot = this.#slotOf(entries[2 * index] as K, hashed)
      this.#hashes[slot] = hashed
      this.#entries[2 * slot] = entries[2 * index]
      this.#entries[2 * slot + 1] = entries[2 * index + 1]
    })
  }
}

/** A power of two: a slot is found by masking. */
const slotsMin = 64

function empty<T>(slots: number): (T | undefined)[] {
  return new Array<T | undefined>(2 * slots).fill(undefined)
}

/** Knuth's multiplicative hash of a whole number, `hashText` of a text; the high bits mixed into those that are masked. */
function hash(key: string | number): number {
  const sum = typeof key === 'number' ? Math.imul(key, 0x9e3779b1) : hashText(key)
  // 0 says that a slot is empty.
  return sum ^ (sum >>> 15) || 1
}
