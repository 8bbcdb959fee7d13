const noBytes = Buffer.alloc(0)

/**
 * Bytes that come in pieces, kept in one buffer that doubles: appending costs as much as the piece is long, and no
 * piece stays in memory beside it. A single piece is kept as it is, without a copy.
 */
export class GrowingBytes {
  #buffer: Buffer = noBytes
  #length = 0

  get length(): number {
    return this.#length
  }

  /** All of it. Good until the next `append`; never written over after `clear`. */
  get bytes(): Buffer {
    return this.#length === this.#buffer.length ? this.#buffer : this.#buffer.subarray(0, this.#length)
  }

  append(piece: Buffer): void {
    if (this.#length === 0) {
      this.#buffer = piece
      this.#length = piece.length
      return
    }
    const length = this.#length + piece.length
    if (length > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(length, this.#length * 2))
      this.#buffer.copy(larger, 0, 0, this.#length)
      this.#buffer = larger
    }
    piece.copy(this.#buffer, this.#length)
    this.#length = length
  }

  clear(): void {
    this.#buffer = noBytes
    this.#length = 0
  }
}
