import { GrowingBytes } from '../http1/growing-bytes.ts'

const lineFeed = 0x0a
const carriageReturn = 0x0d
/** What one read brings at most: an event that is too large is seen to be with so much more in hand. */
const chunkBytesMax = 64 * 1024

/** What an event says about itself, by a look at its bytes. `error`: its `event:` line says so. */
export type EventKind = 'comment' | 'data' | 'done' | 'error'

/** Is told of each whole event: `bytes` from `start` to `end`, its blank line included. */
export type OnEvent = (kind: EventKind, bytes: Buffer, start: number, end: number) => void

/**
 * Finds the server-sent events in a stream of bytes, cut anywhere, with LF or CRLF. Copies only what a cut leaves over.
 * Events are not changed and not decoded.
 */
export class EventScanner {
  readonly #onEvent: OnEvent
  readonly #eventBytesMax: number
  readonly #rest: GrowingBytes

  constructor(onEvent: OnEvent, eventBytesMax: number) {
    this.#onEvent = onEvent
    this.#eventBytesMax = eventBytesMax
    this.#rest = new GrowingBytes(eventBytesMax + chunkBytesMax)
  }

  /** Gives false where one event is larger than allowed. The chunk is not to be written over afterwards. */
  push(chunk: Buffer): boolean {
    const restBytes = this.#rest.length
    if (restBytes > 0) this.#rest.append(chunk)
    const bytes = restBytes > 0 ? this.#rest.bytes : chunk
    // A blank line may be cut in two: it is looked for from just before the new bytes.
    let from = Math.max(0, restBytes - 3)
    let start = 0
    for (;;) {
      const end = blankLineEnd(bytes, from)
      if (end < 0) break
      this.#onEvent(kindOf(bytes, start, end), bytes, start, end)
      start = end
      from = end
    }
    if (start > 0) this.#rest.clear()
    if ((start > 0 || restBytes === 0) && start < bytes.length) this.#rest.adopt(bytes.subarray(start))
    return this.#rest.length <= this.#eventBytesMax
  }

  /** The stream has ended: what no blank line closed is an event only if it is `[DONE]`. */
  end(): void {
    const { bytes } = this.#rest
    if (bytes.length === 0) return
    const closed = Buffer.concat([bytes, Buffer.from(bytes[bytes.length - 1] === lineFeed ? '\n' : '\n\n')])
    if (kindOf(closed, 0, closed.length) === 'done') this.#onEvent('done', closed, 0, closed.length)
  }
}

/** The index after the first blank line at or after `from`, or -1. */
function blankLineEnd(bytes: Buffer, from: number): number {
  let at = bytes.indexOf(lineFeed, from)
  while (at >= 0 && at + 1 < bytes.length) {
    const next = bytes[at + 1]
    if (next === lineFeed) return at + 2
    if (next === carriageReturn) {
      if (at + 2 >= bytes.length) return -1
      if (bytes[at + 2] === lineFeed) return at + 3
    }
    at = bytes.indexOf(lineFeed, at + 1)
  }
  return -1
}

function kindOf(bytes: Buffer, start: number, end: number): EventKind {
  let error = false
  for (let line = start; line < end; line = bytes.indexOf(lineFeed, line) + 1) {
    const first = bytes[line]
    if (first === 0x65) error ||= errorLine.test(bytes.toString('latin1', line, bytes.indexOf(lineFeed, line)))
    const data = first === 0x64 ? dataAt(bytes, line) : -1
    if (data < 0) continue
    if (error) return 'error'
    return isDone(bytes, data) ? 'done' : 'data'
  }
  return error ? 'error' : 'comment'
}

const errorLine = /^event: ?error\r?$/

/** Where the value of a `data:` line begins, or -1. */
function dataAt(bytes: Buffer, line: number): number {
  // "data:"
  if (
    bytes[line] !== 0x64 ||
    bytes[line + 1] !== 0x61 ||
    bytes[line + 2] !== 0x74 ||
    bytes[line + 3] !== 0x61 ||
    bytes[line + 4] !== 0x3a
  )
    return -1
  return bytes[line + 5] === 0x20 ? line + 6 : line + 5
}

/** "[DONE]" and the end of the line. */
function isDone(bytes: Buffer, at: number): boolean {
  return (
    bytes[at] === 0x5b &&
    bytes[at + 1] === 0x44 &&
    bytes[at + 2] === 0x4f &&
    bytes[at + 3] === 0x4e &&
    bytes[at + 4] === 0x45 &&
    bytes[at + 5] === 0x5d &&
    (bytes[at + 6] === lineFeed || bytes[at + 6] === carriageReturn)
  )
}

/** The data of one event as text; several `data:` lines are joined by line feeds. */
export function eventData(bytes: Buffer, start: number, end: number): string {
  const parts: string[] = []
  for (let line = start; line < end; ) {
    const lineEnd = bytes.indexOf(lineFeed, line)
    const data = dataAt(bytes, line)
    if (data >= 0)
      parts.push(bytes.toString('utf8', data, bytes[lineEnd - 1] === carriageReturn ? lineEnd - 1 : lineEnd))
    line = lineEnd + 1
  }
  return parts.join('\n')
}
