/** A body as it arrives: small ones stay the piece they came in, large ones of known length are copied into place once. */
export class BodyPieces {
  length = 0
  readonly #declared: number
  #pieces: Buffer[] = []
  #place: Buffer | undefined

  /** `declared` is 0 where the length is not known before. */
  constructor(declared: number) {
    this.#declared = declared
  }

  add(piece: Buffer): void {
    if (piece.length < this.#declared) {
      this.#place ??= Buffer.allocUnsafeSlow(this.#declared)
      piece.copy(this.#place, this.length)
    } else this.#pieces.push(piece)
    this.length += piece.length
  }

  whole(): Buffer {
    if (this.#place !== undefined) return this.#place
    return this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces, this.length)
  }
}
