const noBytes = Buffer.alloc(0)
/** Up to here memory is taken in steps that double; then all there may be, of which the system gives what is written. */
const doublingBytesMax = 1024 * 1024

/**
 * Bytes that come in pieces, copied into one buffer. Appending costs as much as the piece is long, no piece is kept, and
 * little more memory is used than there are bytes.
 */
export class GrowingBytes {
  readonly #bytesMax: number
  #buffer: Buffer = noBytes
  #length = 0
  /** Under `#buffer`, where it was made here. */
  #memory: ArrayBuffer | undefined

  /** `bytesMax`: about how much there can be, so that the last step is not too large. */
  constructor(bytesMax = doublingBytesMax) {
    this.#bytesMax = bytesMax
  }

  get length(): number {
    return this.#length
  }

  /** All of it. Good until the next `append`; never written over after `clear`. */
  get bytes(): Buffer {
    return this.#length === this.#buffer.length ? this.#buffer : this.#buffer.subarray(0, this.#length)
  }

  append(piece: Buffer): void {
    const length = this.#length + piece.length
    if (length > this.#buffer.length) this.#grow(length)
    piece.copy(this.#buffer, this.#length)
    this.#length = length
  }

  /** Keeps the piece itself, where there is nothing yet: it is not written over elsewhere. */
  adopt(piece: Buffer): void {
    if (this.#length > 0) return this.append(piece)
    this.#buffer = piece
    this.#length = piece.length
  }

  clear(): void {
    this.#buffer = noBytes
    this.#length = 0
    this.#memory = undefined
  }

  /** Clears it and gives the memory back now, not when garbage is collected. What was given out is gone with it. */
  free(): void {
    this.#memory?.transfer(0)
    this.clear()
  }

  #grow(length: number): void {
    const wanted = length < doublingBytesMax ? this.#length * 2 : Math.min(this.#bytesMax, largestStepBytes)
    const larger = Buffer.allocUnsafeSlow(Math.max(length, wanted))
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
    this.#memory = larger.buffer
  }
}

/** Where the limit is set so high that it says nothing. */
const largestStepBytes = 64 * 1024 * 1024
