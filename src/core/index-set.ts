import type { Eligibility } from './request.ts'

/** Some of the endpoints, a bit each by index, as in `Eligibility`: thousands of them are looked through in a moment. */
export class IndexSet {
  readonly #words: Uint32Array
  #size = 0

  /** `count`: how many indices there are. Empty at first. */
  constructor(count: number) {
    this.#words = new Uint32Array((count + 31) >>> 5)
  }

  get size(): number {
    return this.#size
  }

  has(index: number): boolean {
    return (((this.#words[index >>> 5] as number) >>> (index & 31)) & 1) === 1
  }

  set(index: number, isIn: boolean): void {
    if (this.has(index) === isIn) return
    this.#size += isIn ? 1 : -1
    const word = index >>> 5
    const bit = 1 << (index & 31)
    this.#words[word] = isIn ? (this.#words[word] as number) | bit : (this.#words[word] as number) & ~bit
  }

  /** The first that is in the set and eligible, from `from` on; -1 where there is none before the end. */
  next(eligible: Eligibility, from: number): number {
    if (this.#size === 0) return -1
    const words = this.#words
    const length = Math.min(words.length, eligible.words.length)
    let word = from >>> 5
    if (word >= length) return -1
    let both = (words[word] as number) & (eligible.words[word] as number) & (-1 << (from & 31))
    while (both === 0) {
      word++
      if (word >= length) return -1
      both = (words[word] as number) & (eligible.words[word] as number)
    }
    return (word << 5) + 31 - Math.clz32(both & -both)
  }
}
