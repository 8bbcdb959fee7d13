/**
 * A number for all that was decided so far, each part in its order: two lanes of 32 bits, mixed as in Murmur3. Equal
 * runs give equal digests; runs that differ in one action or by the last bit of one time give different ones.
 */
export class Digest {
  #a = 0x243f6a88
  #b = 0x85a308d3
  readonly #double = new Float64Array(1)
  readonly #words = new Int32Array(this.#double.buffer)

  add(value: number): void {
    this.#double[0] = value
    this.#mix(this.#words[0] as number)
    this.#mix(this.#words[1] as number)
  }

  get text(): string {
    return [this.#a, this.#b].map((lane) => (lane >>> 0).toString(16).padStart(8, '0')).join('')
  }

  #mix(word: number): void {
    let k = Math.imul(word, 0xcc9e2d51)
    k = (k << 15) | (k >>> 17)
    this.#a ^= Math.imul(k, 0x1b873593)
    this.#a = (this.#a << 13) | (this.#a >>> 19)
    this.#a = (Math.imul(this.#a, 5) + 0xe6546b64) | 0
    this.#b ^= Math.imul(word ^ this.#a, 0x85ebca6b)
    this.#b = (this.#b << 17) | (this.#b >>> 15)
    this.#b = (Math.imul(this.#b, 9) + 0x38b34ae5) | 0
  }
}
