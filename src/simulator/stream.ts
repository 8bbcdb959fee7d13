import type { Random } from '../core/random.ts'
import { hashText } from '../core/rendezvous.ts'

/**
 * Random numbers of one entity: Threefry-2x32 with 20 rounds (Salmon et al., Parallel random numbers: as easy as 1, 2,
 * 3; SC 2011), counting from 0 under a key made of the seed and the entity's name. Streams are independent of each
 * other, so that another tenant or replica more changes nothing for those that were there before. Integers only.
 */
export class Stream implements Random {
  readonly #key0: number
  readonly #key1: number
  #counter = 0
  #spare = 0
  #hasSpare = false

  /** `entity`: its name, or a number of 32 bits that stands for it. */
  constructor(seed: number, entity: string | number) {
    this.#key0 = seed | 0
    this.#key1 = typeof entity === 'string' ? hashText(entity) : entity | 0
  }

  /** The next number in [0, 1), of 32 bits. */
  next(): number {
    return this.nextInt32() / 4294967296
  }

  /** The next 32 bits, as a number from 0. */
  nextInt32(): number {
    if (this.#hasSpare) {
      this.#hasSpare = false
      return this.#spare
    }
    const key0 = this.#key0
    const key1 = this.#key1
    const key2 = 0x1bd11bda ^ key0 ^ key1
    let a = (this.#counter++ + key0) | 0
    let b = key1
    for (let four = 0; four < 5; four++) {
      const odd = (four & 1) === 1
      a = (a + b) | 0
      b = odd ? (b << 17) | (b >>> 15) : (b << 13) | (b >>> 19)
      b ^= a
      a = (a + b) | 0
      b = odd ? (b << 29) | (b >>> 3) : (b << 15) | (b >>> 17)
      b ^= a
      a = (a + b) | 0
      b = odd ? (b << 16) | (b >>> 16) : (b << 26) | (b >>> 6)
      b ^= a
      a = (a + b) | 0
      b = odd ? (b << 24) | (b >>> 8) : (b << 6) | (b >>> 26)
      b ^= a
      const turn = (four + 1) % 3
      a = (a + (turn === 0 ? key0 : turn === 1 ? key1 : key2)) | 0
      b = (b + (turn === 0 ? key1 : turn === 1 ? key2 : key0) + four + 1) | 0
    }
    this.#spare = b >>> 0
    this.#hasSpare = true
    return a >>> 0
  }

  /** A whole number from 0 to `count - 1`. */
  below(count: number): number {
    return Math.floor(this.next() * count)
  }

  /**
   * Exponential with mean 1, by von Neumann's method (1951): comparisons of uniform numbers only, exact, and the same
   * on every engine, which a logarithm is not.
   */
  exponential(): number {
    for (let whole = 0; ; whole++) {
      const first = this.next()
      let last = first
      let length = 1
      for (;;) {
        const next = this.next()
        length++
        if (next > last) break
        last = next
      }
      if ((length & 1) === 0) return whole + first
    }
  }
}
