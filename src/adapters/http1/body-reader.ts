/** How a body is told apart from what follows it: it has so many bytes, or comes in chunks, or ends with the connection. */
export type Framing = number | 'chunked' | 'until-close'

/** Chunk sizes have at most so many digits: a body is far smaller than 2^48 bytes. */
const sizeDigitsMax = 12
/** Of one chunk's extensions, and of trailers, which nobody reads. */
const asideBytesMax = 16 * 1024
const cr = 0x0d
const lf = 0x0a
const semicolon = 0x3b

type Phase =
  | 'sized'
  | 'until-close'
  | 'chunk-size'
  | 'chunk-extension'
  | 'chunk-size-end'
  | 'chunk'
  | 'chunk-end-cr'
  | 'chunk-end-lf'
  | 'trailer-start'
  | 'trailer'
  | 'trailer-lf'
  | 'end-lf'
  | 'ended'

/**
 * Takes the framing off a body (RFC 9112, sections 6 and 7) whose bytes are cut anywhere. Strict where two readers could
 * differ: line ends are CRLF, sizes are bare hexadecimal digits, a chunk is exactly as long as its size.
 */
export class BodyReader {
  /** Where in the bytes read last the body's own bytes stand. */
  from = 0
  to = 0
  #phase: Phase = 'ended'
  /** Bytes left of the body, or of the chunk; while its size is read, the size so far. */
  #left = 0
  #digits = 0
  #asideBytes = 0

  /** Begins another body. */
  start(framing: Framing): void {
    if (framing === 'chunked') this.#startChunk()
    else if (framing === 'until-close') this.#phase = framing
    else {
      this.#left = framing
      this.#phase = framing > 0 ? 'sized' : 'ended'
    }
  }

  get hasEnded(): boolean {
    return this.#phase === 'ended'
  }

  /** The body ends with its connection. */
  get endsWithConnection(): boolean {
    return this.#phase === 'until-close'
  }

  /**
   * Reads on from `at`. Gives where it stopped: past the body's end, or at the end of the bytes; -1 where the chunks are
   * corrupt. May write over the bytes: framing between two pieces is closed up in place, so that all pieces of the body
   * that they hold stand together between `from` and `to`.
   */
  read(bytes: Buffer, at: number): number {
    this.from = at
    this.to = at
    while (at < bytes.length) {
      switch (this.#phase) {
        case 'ended':
          return at
        case 'sized':
        case 'chunk':
          at = this.#takeData(bytes, at)
          break
        case 'until-close':
          this.to = bytes.length
          return bytes.length
        default:
          if (!this.#takeFraming(bytes[at++] as number)) return -1
      }
    }
    return at
  }

  #takeData(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#left)
    this.#left -= end - at
    if (this.from === this.to) this.from = this.to = at
    if (this.to < at) bytes.copyWithin(this.to, at, end)
    this.to += end - at
    if (this.#left === 0) this.#phase = this.#phase === 'sized' ? 'ended' : 'chunk-end-cr'
    return end
  }

  #startChunk(): void {
    this.#phase = 'chunk-size'
    this.#left = 0
    this.#digits = 0
    this.#asideBytes = 0
  }

  /** One byte of what stands between and after the chunks. Gives false where it should not stand there. */
  #takeFraming(byte: number): boolean {
    switch (this.#phase) {
      case 'chunk-size': {
        const digit = hexDigit(byte)
        if (digit >= 0 && this.#digits < sizeDigitsMax) {
          this.#left = this.#left * 16 + digit
          this.#digits++
          return true
        }
        if (this.#digits === 0) return false
        if (byte === cr) this.#phase = 'chunk-size-end'
        else if (byte === semicolon || byte === 0x20 || byte === 0x09) this.#phase = 'chunk-extension'
        else return false
        return true
      }
      case 'chunk-extension':
        if (byte === cr) this.#phase = 'chunk-size-end'
        else return this.#aside(byte)
        return true
      case 'chunk-size-end':
        this.#phase = this.#left > 0 ? 'chunk' : 'trailer-start'
        return byte === lf
      case 'chunk-end-cr':
        this.#phase = 'chunk-end-lf'
        return byte === cr
      case 'chunk-end-lf':
        this.#startChunk()
        return byte === lf
      case 'trailer-start':
        this.#phase = byte === cr ? 'end-lf' : 'trailer'
        return byte === cr || this.#aside(byte)
      case 'trailer':
        if (byte === cr) this.#phase = 'trailer-lf'
        else return this.#aside(byte)
        return true
      case 'trailer-lf':
        this.#phase = 'trailer-start'
        return byte === lf
      case 'end-lf':
        this.#phase = 'ended'
        return byte === lf
      default:
        return false
    }
  }

  /** A byte that is skipped: any text, of which there is not too much. */
  #aside(byte: number): boolean {
    return ++this.#asideBytes <= asideBytesMax && (byte === 0x09 || (byte >= 0x20 && byte !== 0x7f))
  }
}

/** The digit's value, or -1. */
function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}
