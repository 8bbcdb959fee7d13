import { GrowingBytes } from './growing-bytes.ts'

/** What an answer's head says, once it is whole. */
export interface ParsedHead {
  readonly status: number
  /** Lower-case names; a header that stands more than once is a list. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

/** Receives what the parser finds. The bytes are good during the call only. */
export interface ParserSink {
  onHead(head: ParsedHead): void
  /** Bytes of the body, without the framing around them; all that one `push` held, in one call. */
  onBody(bytes: Buffer): void
}

/**
 * Where the answer stands. `whole`: it has ended and the connection can carry another; `last`: it has ended and so has
 * the connection's use; `invalid`: this is no answer, see `problem`.
 */
export type ParserState = 'open' | 'whole' | 'last' | 'invalid'

const headBytesMax = 64 * 1024
/** Chunk sizes have at most so many digits: a body is far smaller than 2^48 bytes. */
const sizeDigitsMax = 12
/** Of a chunk's extensions and of trailers, which nobody reads. */
const asideBytesMax = 16 * 1024
const cr = 0x0d
const lf = 0x0a
const semicolon = 0x3b
const headEnd = Buffer.from('\r\n\r\n')

type Phase =
  | 'head'
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
 * Reads one HTTP/1.1 answer out of bytes that are cut anywhere (RFC 9112). Strict where two readers could
 * differ on where a message ends: bare line feeds, folded lines, blanks before a colon, a length that stands twice or
 * beside chunks, a coding other than `chunked`, and bytes past the end are no answer.
 */
export class AnswerParser {
  /** What is wrong with it, where it is invalid. */
  problem = ''
  readonly #sink: ParserSink
  #phase: Phase = 'head'
  /** The beginning of a head that is cut. */
  readonly #head = new GrowingBytes()
  /** All heads together: hints that are sent ahead count too. */
  #headBytes = 0
  #keepAlive = true
  /** Bytes left of the body, or of the chunk; while its size is read, the size so far. */
  #left = 0
  #digits = 0
  #asideBytes = 0

  constructor(sink: ParserSink) {
    this.#sink = sink
  }

  /** The answer has ended; where it is invalid all the same, bytes followed its end. */
  get isEnded(): boolean {
    return this.#phase === 'ended'
  }

  /** Takes bytes as they come. May write over them: framing between two pieces of a body is closed up in place. */
  push(bytes: Buffer): ParserState {
    let at = 0
    while (this.#phase === 'head') {
      at = this.#takeHead(bytes, at)
      if (at < 0) return this.problem === '' ? 'open' : 'invalid'
    }
    // The body's bytes in this push, moved together as they are found.
    let bodyStart = at
    let bodyEnd = at
    let valid = true
    while (valid && at < bytes.length) {
      switch (this.#phase) {
        case 'sized':
        case 'chunk': {
          const end = Math.min(bytes.length, at + this.#left)
          this.#left -= end - at
          if (bodyEnd === bodyStart) bodyStart = bodyEnd = at
          if (bodyEnd < at) bytes.copyWithin(bodyEnd, at, end)
          bodyEnd += end - at
          at = end
          if (this.#left === 0) this.#phase = this.#phase === 'sized' ? 'ended' : 'chunk-end-cr'
          break
        }
        case 'until-close':
          bodyStart = at
          bodyEnd = bytes.length
          at = bytes.length
          break
        case 'ended':
          valid = this.#refuse('bytes follow the end of the answer')
          break
        default:
          valid = this.#takeFraming(bytes[at++] as number)
      }
    }
    if (bodyEnd > bodyStart) this.#sink.onBody(bytes.subarray(bodyStart, bodyEnd))
    if (!valid) return 'invalid'
    if (this.#phase !== 'ended') return 'open'
    return this.#keepAlive ? 'whole' : 'last'
  }

  /** The connection has closed in order. Gives `last` where that is how the answer ends. */
  close(): ParserState {
    if (this.#phase === 'until-close') return 'last'
    if (this.#phase !== 'head' || this.#headBytes === 0) return 'open'
    this.#refuse('the head breaks off')
    return 'invalid'
  }

  // ---- the head -------------------------------------------------------------------------------------------------

  /** Gives where the body begins, or -1 where the head is not whole, or no head. */
  #takeHead(bytes: Buffer, at: number): number {
    const cutBytes = this.#head.length
    let head = bytes.subarray(at)
    if (cutBytes > 0) {
      this.#head.append(head)
      head = this.#head.bytes
    }
    const end = head.indexOf(headEnd, Math.max(0, cutBytes - headEnd.length + 1))
    const taken = (end < 0 ? head.length : end + headEnd.length) - cutBytes
    this.#headBytes += taken
    if (this.#headBytes > headBytesMax) this.#refuse('the head is too large')
    else if (end >= 0) {
      this.#head.clear()
      if (this.#readHead(head.toString('latin1', 0, end))) return at + taken
    } else if (!couldBeAnswer(head)) this.#refuse('this is not HTTP')
    else if (cutBytes === 0) this.#head.append(Buffer.from(head))
    return -1
  }

  /** Gives false where it is no head. After hints (1xx) the phase stays `head`. */
  #readHead(text: string): boolean {
    const lines = text.split('\r\n')
    const statusLine = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/.exec(lines[0] as string)
    if (statusLine === null) return this.#refuse('the status line is none')
    const status = Number(statusLine[2])
    const http10 = statusLine[1] === '0'
    const headers: Record<string, string | string[] | undefined> = Object.create(null)
    for (let index = 1; index < lines.length; index++) {
      const line = lines[index] as string
      const colon = line.indexOf(':')
      if (colon < 1 || !fieldName.test(line.slice(0, colon)) || !fieldText.test(line))
        return this.#refuse('a header is none')
      add(headers, line.slice(0, colon).toLowerCase(), withoutBlanks(line, colon + 1))
    }
    if (status < 200) return status === 101 ? this.#refuse('another protocol was not asked for') : true
    if (!this.#frame(status, http10, headers)) return false
    this.#sink.onHead({ status, headers })
    return true
  }

  /** How the body ends, by RFC 9112 section 6.3. */
  #frame(status: number, http10: boolean, headers: ParsedHead['headers']): boolean {
    const { connection, 'content-length': length, 'transfer-encoding': coding } = headers
    const options = String(connection ?? '').toLowerCase()
    this.#keepAlive = http10 ? /\bkeep-alive\b/.test(options) : !/\bclose\b/.test(options)
    if (coding !== undefined) {
      if (length !== undefined) return this.#refuse('a length stands beside chunks')
      if (http10 || String(coding).toLowerCase() !== 'chunked') return this.#refuse('the transfer coding is unknown')
    }
    if (length !== undefined && !/^\d{1,15}$/.test(String(length))) return this.#refuse('the length is none')
    if (status === 204 || status === 304) this.#phase = 'ended'
    else if (coding !== undefined) this.#startChunk()
    else if (length !== undefined) {
      this.#left = Number(length)
      this.#phase = this.#left > 0 ? 'sized' : 'ended'
    } else {
      this.#keepAlive = false
      this.#phase = 'until-close'
    }
    return true
  }

  // ---- chunks ---------------------------------------------------------------------------------------------------

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
        if (this.#digits === 0) break
        if (byte === cr) this.#phase = 'chunk-size-end'
        else if (byte === semicolon || byte === 0x20 || byte === 0x09) this.#phase = 'chunk-extension'
        else break
        return true
      }
      case 'chunk-extension':
        if (byte === cr) this.#phase = 'chunk-size-end'
        else if (!this.#aside(byte)) break
        return true
      case 'chunk-size-end':
        if (byte !== lf) break
        this.#phase = this.#left > 0 ? 'chunk' : 'trailer-start'
        return true
      case 'chunk-end-cr':
        if (byte !== cr) break
        this.#phase = 'chunk-end-lf'
        return true
      case 'chunk-end-lf':
        if (byte !== lf) break
        this.#startChunk()
        return true
      case 'trailer-start':
        if (byte === cr) this.#phase = 'end-lf'
        else if (this.#aside(byte)) this.#phase = 'trailer'
        else break
        return true
      case 'trailer':
        if (byte === cr) this.#phase = 'trailer-lf'
        else if (!this.#aside(byte)) break
        return true
      case 'trailer-lf':
        if (byte !== lf) break
        this.#phase = 'trailer-start'
        return true
      case 'end-lf':
        if (byte !== lf) break
        this.#phase = 'ended'
        return true
      default:
        break
    }
    return this.#refuse('the chunks are corrupt')
  }

  /** A byte that is skipped: any text, of which there is not too much. */
  #aside(byte: number): boolean {
    return ++this.#asideBytes <= asideBytesMax && (byte === 0x09 || (byte >= 0x20 && byte !== 0x7f))
  }

  #refuse(problem: string): false {
    this.problem = problem
    return false
  }
}

const fieldName = /^[!#$%&'*+.^_`|~\w-]+$/
const fieldText = /^[\t\x20-\x7e\x80-\xff]*$/

/** From `start` on, without the blanks and tabs at both ends: what `trim` takes beside them may be part of a value. */
function withoutBlanks(line: string, start: number): string {
  let end = line.length
  while (start < end && isBlank(line.charCodeAt(start))) start++
  while (end > start && isBlank(line.charCodeAt(end - 1))) end--
  return line.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09
}

function add(headers: Record<string, string | string[] | undefined>, name: string, value: string): void {
  const known = headers[name]
  if (known === undefined) headers[name] = value
  else if (typeof known === 'string') headers[name] = [known, value]
  else known.push(value)
}

/** A first look at what may be the beginning of a head, so that another protocol is not waited for. */
function couldBeAnswer(bytes: Buffer): boolean {
  const start = bytes.toString('latin1', 0, 7)
  return 'HTTP/1.'.startsWith(start)
}

/** The digit's value, or -1. */
function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}
