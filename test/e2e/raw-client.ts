import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

/** One answer as it came over the wire. */
export interface RawAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** One connection on which exactly the bytes go out that a test wants, and all that comes back is kept. */
export class RawClient {
  /** Resolves when the connection is gone, whoever ended it. */
  readonly closed: Promise<void>
  readonly #socket: Socket
  #pieces: Buffer[] = []
  #bytes = 0
  #isClosed = false
  #changed: (() => void)[] = []

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (bytes: Buffer) => {
      this.#pieces.push(bytes)
      this.#bytes += bytes.length
      this.#tell()
    })
    socket.on('error', () => {})
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#isClosed = true
        this.#tell()
        resolve()
      })
    })
  }

  /** Resolves once connected, or once that has failed: then the client is closed. */
  static open(port: number): Promise<RawClient> {
    return RawClient.#opened(connect({ host: '127.0.0.1', port, noDelay: true }), 'connect')
  }

  /** The same over TLS, whatever the certificate. */
  static openTls(port: number): Promise<RawClient> {
    return RawClient.#opened(connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false }), 'secureConnect')
  }

  static #opened(socket: Socket, connected: string): Promise<RawClient> {
    const client = new RawClient(socket)
    return new Promise((resolve) => {
      socket.once(connected, () => resolve(client))
      socket.once('close', () => resolve(client))
    })
  }

  get received(): string {
    const all = Buffer.concat(this.#pieces)
    this.#pieces = [all]
    return all.toString('latin1')
  }

  /** How much came so far. */
  get receivedBytes(): number {
    return this.#bytes
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  send(bytes: string | Uint8Array): void {
    this.#socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  }

  /** Leaves without reading what still comes. */
  reset(): void {
    this.#socket.resetAndDestroy()
  }

  end(): void {
    this.#socket.destroy()
  }

  /** Reads nothing more until `resume`. */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Resolves once `found` is true of what came; rejects when the connection goes first, or after `timeoutMs`. */
  async until(found: (received: string) => boolean, timeoutMs = 10_000): Promise<string> {
    const timeout = setTimeout(() => this.#socket.destroy(), timeoutMs)
    try {
      for (;;) {
        if (found(this.received)) return this.received
        if (this.#isClosed) throw new Error(`the connection ended with ${JSON.stringify(this.received.slice(0, 500))}`)
        await new Promise<void>((resolve) => this.#changed.push(resolve))
      }
    } finally {
      clearTimeout(timeout)
    }
  }

  /** The whole answer with a content-length that stands first in what came; undefined where the connection ends without. */
  async answer(timeoutMs = 10_000): Promise<RawAnswer | undefined> {
    try {
      const received = await this.until((text) => firstAnswer(text) !== undefined, timeoutMs)
      return firstAnswer(received)?.answer
    } catch {
      return firstAnswer(this.received)?.answer
    }
  }

  /** All whole answers that came so far, one after the other. */
  get answers(): RawAnswer[] {
    const answers: RawAnswer[] = []
    let text = this.received
    for (let found = firstAnswer(text); found !== undefined; found = firstAnswer(text)) {
      answers.push(found.answer)
      text = text.slice(found.length)
    }
    return answers
  }

  #tell(): void {
    for (const changed of this.#changed.splice(0)) changed()
  }
}

function firstAnswer(text: string): { answer: RawAnswer; length: number } | undefined {
  const headEnd = text.indexOf('\r\n\r\n')
  if (headEnd < 0) return undefined
  const [statusLine = '', ...lines] = text.slice(0, headEnd).split('\r\n')
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  )
  const length = Number(headers['content-length'])
  const bodyStart = headEnd + 4
  if (!Number.isInteger(length) || text.length < bodyStart + length) return undefined
  const status = Number(statusLine.split(' ')[1])
  return {
    answer: { status, headers, body: text.slice(bodyStart, bodyStart + length) },
    length: bodyStart + length,
  }
}

/** A well-formed request, for tests to bend. */
export function rawRequest(
  body: string,
  {
    method = 'POST',
    target = '/v1/chat/completions',
    key = '',
    headers = [],
  }: { method?: string; target?: string; key?: string; headers?: readonly string[] } = {},
): string {
  const lines = [`${method} ${target} HTTP/1.1`, 'Host: gateway']
  if (key !== '') lines.push(`Authorization: Bearer ${key}`)
  if (body !== '') lines.push('Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`)
  return `${[...lines, ...headers].join('\r\n')}\r\n\r\n${body}`
}

export function chatBody(more: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({ model: 'chat-large', messages: [{ role: 'user', content: 'hello' }], ...more })
}
