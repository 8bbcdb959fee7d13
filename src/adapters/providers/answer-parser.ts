import { BodyReader, type Framing } from '../http1/body-reader.ts'
import { fieldsOf } from '../http1/fields.ts'
import { HeadCollector } from '../http1/head-collector.ts'

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

/**
 * Reads one HTTP/1.1 answer out of bytes that are cut anywhere (RFC 9112). Strict where two readers could differ on
 * where a message ends: bare line feeds, folded lines, blanks before a colon, a length that stands twice or beside
 * chunks, a coding other than `chunked`, and bytes past the end are no answer.
 */
export class AnswerParser {
  /** What is wrong with it, where it is invalid. */
  problem = ''
  readonly #sink: ParserSink
  readonly #head = new HeadCollector()
  readonly #body = new BodyReader()
  #inHead = true
  #keepAlive = true

  constructor(sink: ParserSink) {
    this.#sink = sink
  }

  /** The answer has ended; where it is invalid all the same, bytes followed its end. */
  get isEnded(): boolean {
    return !this.#inHead && this.#body.hasEnded
  }

  /** Takes bytes as they come. May write over them. */
  push(bytes: Buffer): ParserState {
    let at = 0
    while (this.#inHead) {
      at = this.#takeHead(bytes, at)
      if (at < 0) return this.problem === '' ? 'open' : 'invalid'
    }
    const body = this.#body
    at = body.read(bytes, at)
    if (body.to > body.from) this.#sink.onBody(bytes.subarray(body.from, body.to))
    if (at < 0) return this.#invalid('the chunks are corrupt')
    if (!body.hasEnded) return 'open'
    if (at < bytes.length) return this.#invalid('bytes follow the end of the answer')
    return this.#keepAlive ? 'whole' : 'last'
  }

  /** The connection has closed in order. Gives `last` where that is how the answer ends. */
  close(): ParserState {
    if (this.#inHead) return this.#head.bytes === 0 ? 'open' : this.#invalid('the head breaks off')
    return this.#body.endsWithConnection ? 'last' : 'open'
  }

  /** Gives where the head ends, or -1 where it does not, or is none. */
  #takeHead(bytes: Buffer, at: number): number {
    const end = this.#head.take(bytes, at)
    // All heads together: hints that are sent ahead count too.
    if (this.#head.bytes > headBytesMax) this.#refuse('the head is too large')
    else if (end < 0 && !couldBeAnswer(this.#head.beginning)) this.#refuse('this is not HTTP')
    if (end < 0 || this.problem !== '') return -1
    return this.#readHead(this.#head.text) ? end : -1
  }

  /** Gives false where it is no head. After hints (1xx) another head follows. */
  #readHead(text: string): boolean {
    const lineEnd = text.indexOf('\r\n')
    const statusLine = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/.exec(
      lineEnd < 0 ? text : text.slice(0, lineEnd),
    )
    const fields = fieldsOf(text, lineEnd < 0 ? text.length : lineEnd + 2)
    if (statusLine === null || fields === undefined) return this.#refuse('the head is not well formed')
    const status = Number(statusLine[2])
    if (status === 101) return this.#refuse('another protocol was not asked for')
    if (status < 200) return true
    const headers = byName(fields)
    const framing = this.#framingOf(status, statusLine[1] === '0', headers)
    if (framing === undefined) return false
    this.#inHead = false
    this.#body.start(framing)
    this.#sink.onHead({ status, headers })
    return true
  }

  /** How the body ends, by RFC 9112 section 6.3; undefined where that cannot be told for certain. */
  #framingOf(status: number, http10: boolean, headers: ParsedHead['headers']): Framing | undefined {
    const { connection, 'content-length': length, 'transfer-encoding': coding } = headers
    const options = String(connection ?? '').toLowerCase()
    this.#keepAlive = http10 ? /\bkeep-alive\b/.test(options) : !/\bclose\b/.test(options)
    if (length !== undefined && !/^\d{1,15}$/.test(String(length))) this.#refuse('the length is none')
    if (coding !== undefined && length !== undefined) this.#refuse('a length stands beside chunks')
    if (coding !== undefined && (http10 || String(coding).toLowerCase() !== 'chunked'))
      this.#refuse('the transfer coding is unknown')
    if (this.problem !== '') return undefined
    if (status === 204 || status === 304) return 0
    if (coding !== undefined) return 'chunked'
    if (length !== undefined) return Number(length)
    this.#keepAlive = false
    return 'until-close'
  }

  #invalid(problem: string): 'invalid' {
    this.problem = problem
    return 'invalid'
  }

  #refuse(problem: string): false {
    this.problem = problem
    return false
  }
}

function byName(fields: readonly string[]): Record<string, string | string[] | undefined> {
  const headers: Record<string, string | string[] | undefined> = Object.create(null)
  for (let i = 0; i < fields.length; i += 2) {
    const name = (fields[i] as string).toLowerCase()
    const value = fields[i + 1] as string
    const known = headers[name]
    if (known === undefined) headers[name] = value
    else if (typeof known === 'string') headers[name] = [known, value]
    else known.push(value)
  }
  return headers
}

/** A first look at what may be the beginning of a head, so that another protocol is not waited for. */
function couldBeAnswer(beginning: Buffer | undefined): boolean {
  return beginning === undefined || 'HTTP/1.'.startsWith(beginning.toString('latin1', 0, 7))
}
