import { GrowingBytes } from './growing-bytes.ts'

const headEnd = Buffer.from('\r\n\r\n')

/** Puts a head together out of bytes that are cut anywhere. Copies only what a cut leaves over. */
export class HeadCollector {
  /** The head without its last blank line (latin1), once `take` has found its end. */
  text = ''
  /** Bytes taken since `clear`, over all heads. */
  bytes = 0
  #cut: GrowingBytes | undefined

  /** Takes bytes from `at` on. Gives where the head ends, or -1 while it does not. */
  take(bytes: Buffer, at: number): number {
    const cutBytes = this.#cut?.length ?? 0
    let head = at === 0 ? bytes : bytes.subarray(at)
    if (this.#cut !== undefined && cutBytes > 0) {
      this.#cut.append(head)
      head = this.#cut.bytes
    }
    const end = head.indexOf(headEnd, Math.max(0, cutBytes - headEnd.length + 1))
    if (end < 0) {
      this.bytes += head.length - cutBytes
      if (cutBytes === 0) {
        this.#cut ??= new GrowingBytes()
        this.#cut.append(head)
      }
      this.text = ''
      return -1
    }
    const taken = end + headEnd.length - cutBytes
    this.bytes += taken
    this.text = head.toString('latin1', 0, end)
    this.#cut?.clear()
    return at + taken
  }

  /** What there is of a head that has not come to its end; good until the next `take`. */
  get beginning(): Buffer | undefined {
    return this.#cut?.bytes
  }

  clear(): void {
    this.text = ''
    this.bytes = 0
    this.#cut?.clear()
  }
}
