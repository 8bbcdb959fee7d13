/** The load generator: bare sockets, so that it is cheaper than anything it drives. */
import { connect, type Socket } from 'node:net'
import { answerMark, chatBody, eventsOf, type Pace, wordAt } from './answers.ts'
import { bodyEnd, statusOf } from './http-reader.ts'

/** What the load generator needs to know of a gateway. */
export interface Target {
  readonly name: string
  readonly port: number
  readonly path: string
  readonly model: string
  readonly headers: Readonly<Record<string, string>>
}

const noBytes = Buffer.alloc(0)
const lineFeed = 0x0a
const blankLine = Buffer.from('\n\n')
const lastChunk = Buffer.from('0\r\n\r\n')
const answerMarkBytes = Buffer.from(answerMark)
const usageBytes = Buffer.from('"total_tokens":307')
const doneBytes = Buffer.from('[DONE]')

/** A request ready to be written. */
export function requestBytes(
  target: Target,
  bodyBytes: number,
  stream?: { readonly pace: Pace; readonly chunks: number },
): Buffer {
  const body = chatBody(target.model, bodyBytes, stream)
  const headers = {
    host: `127.0.0.1:${target.port}`,
    'content-type': 'application/json',
    accept: stream === undefined ? 'application/json' : 'text/event-stream',
    'user-agent': 'OpenAI/JS 7.53.0',
    'x-stainless-lang': 'js',
    'x-stainless-retry-count': '0',
    ...target.headers,
    'content-length': String(Buffer.byteLength(body)),
  }
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.from(`POST ${target.path} HTTP/1.1\r\n${head.join('')}\r\n${body}`)
}

/** A kept connection that carries one request at a time. Any answer that is not the right one breaks the run. */
abstract class Connection {
  protected readonly socket: Socket
  readonly #target: Target
  #closed = false

  constructor(target: Target, onBroken: (error: Error) => void) {
    this.#target = target
    this.socket = connect({ host: '127.0.0.1', port: target.port, noDelay: true })
    const broken = (problem: string): void => {
      if (!this.#closed) onBroken(new Error(`${target.name}: ${problem}`))
      this.close()
    }
    this.socket.on('data', (bytes: Buffer) => {
      const problem = this.take(bytes)
      if (problem !== undefined) broken(problem)
    })
    this.socket.on('error', (error) => broken(error.message))
    this.socket.on('close', () => broken('the connection was closed'))
  }

  close(): void {
    this.#closed = true
    this.socket.destroy()
  }

  /** Gives what is wrong with the answer, or nothing. */
  protected abstract take(bytes: Buffer): string | undefined

  protected wrong(answer: Buffer): string {
    return `a wrong answer from port ${this.#target.port}: ${answer.toString('latin1', 0, 2_000)}`
  }
}

/** Whole answers, one after the other. */
export class WholeConnection extends Connection {
  #read: Buffer | undefined
  #done: () => void = () => {}

  /** Calls back once, when the answer is whole and right. */
  ask(request: Buffer, done: () => void): void {
    this.#done = done
    this.socket.write(request)
  }

  protected take(bytes: Buffer): string | undefined {
    const read = this.#read === undefined ? bytes : Buffer.concat([this.#read, bytes])
    if (bodyEnd(read) < 0) {
      this.#read = read
      return undefined
    }
    this.#read = undefined
    if (statusOf(read) !== 200 || !read.includes(answerMarkBytes) || !read.includes(usageBytes)) return this.wrong(read)
    this.#done()
    return undefined
  }
}

/** Streamed answers, one after the other. */
export class StreamConnection extends Connection {
  readonly #onEvents: (count: number) => void
  /** All bytes of the running answer, where it is to be looked at closely. */
  #kept: Buffer[] | undefined
  #chunks = 0
  #events = 0
  #previous: Buffer = noBytes
  #first: (() => void) | undefined
  #done: () => void = () => {}

  /** `onEvents` is told how many events each piece of an answer ends. */
  constructor(target: Target, onBroken: (error: Error) => void, onEvents: (count: number) => void = () => {}) {
    super(target, onBroken)
    this.#onEvents = onEvents
  }

  /** Calls `first` at the first event and `done` at the end. `closely`: every word of the answer is compared. */
  ask(request: Buffer, chunks: number, closely: boolean, first: (() => void) | undefined, done: () => void): void {
    this.#chunks = chunks
    this.#kept = closely ? [] : undefined
    this.#first = first
    this.#done = done
    this.#events = 0
    this.#previous = noBytes
    this.socket.write(request)
  }

  protected take(bytes: Buffer): string | undefined {
    const previous = this.#previous
    this.#previous = bytes
    if (previous.length === 0 && statusOf(bytes) !== 200) return this.wrong(bytes)
    this.#kept?.push(bytes)
    const events = eventsEnded(previous, bytes)
    if (events > 0) {
      if (this.#events === 0) this.#first?.()
      this.#events += events
      this.#onEvents(events)
    }
    const missing = eventsOf(this.#chunks) - this.#events
    if (missing > 0) return undefined
    const tail = Buffer.concat([previous, bytes])
    if (missing < 0) return this.wrong(tail)
    if (!tail.subarray(-lastChunk.length).equals(lastChunk)) return undefined
    if (!tail.includes(doneBytes)) return this.wrong(tail)
    if (this.#kept !== undefined) {
      const text = textOf(Buffer.concat(this.#kept))
      if (text !== expectedText(this.#chunks)) return `a stream with other words than the vendor sent: ${text}`
    }
    this.#done()
    return undefined
  }
}

/** Blank lines that end in `bytes`, one of which may have begun in the piece before. */
function eventsEnded(previous: Buffer, bytes: Buffer): number {
  let count = previous[previous.length - 1] === lineFeed && bytes[0] === lineFeed ? 1 : 0
  for (let at = bytes.indexOf(blankLine); at >= 0; at = bytes.indexOf(blankLine, at + blankLine.length)) count++
  return count
}

/** The text of a whole streamed answer, out of its chunks and events. */
function textOf(answer: Buffer): string {
  const body: Buffer[] = []
  for (let at = answer.indexOf('\r\n\r\n') + 4; ; ) {
    const lineEnd = answer.indexOf('\r\n', at)
    const size = Number.parseInt(answer.toString('latin1', at, lineEnd), 16)
    if (!(size > 0)) break
    body.push(answer.subarray(lineEnd + 2, lineEnd + 2 + size))
    at = lineEnd + 2 + size + 2
  }
  const data = Buffer.concat(body)
    .toString()
    .split('\n')
    .filter((line) => line.startsWith('data: {'))
  return data.map((line) => JSON.parse(line.slice('data: '.length)).choices[0]?.delta?.content ?? '').join('')
}

function expectedText(chunks: number): string {
  return Array.from({ length: chunks }, (_, index) => ` ${wordAt(index)}`).join('')
}
