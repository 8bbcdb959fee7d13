import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/** One request as the vendor saw it. */
export interface SeenRequest {
  readonly path: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
  /** Counts the connections this vendor was asked over, from 1. */
  readonly connection: number
  /** How it ended for the vendor. */
  ended: 'open' | 'complete' | 'client-left'
  /** Content events handed to the socket. */
  events: number
}

/** One request in the hands of a script. */
export interface ScriptedExchange {
  readonly seen: SeenRequest
  /** For what plain HTTP can say. */
  readonly response: ServerResponse
  /** For what it cannot: bytes as they are, past the server's own writing. */
  readonly socket: Socket
}

export interface VendorBehaviour {
  /** Answers in place of everything below. */
  readonly script?: (exchange: ScriptedExchange) => void
  /** Content events of an answer, one token each. */
  readonly tokens?: number
  readonly everyMs?: number
  /** Breaks the connection after so many content events. */
  readonly cutAfter?: number
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
}

/** A vLLM-like server whose behaviour a test can change at any time; it keeps its own record of what it was asked. */
export class FakeVendor {
  readonly seen: SeenRequest[] = []
  behaviour: VendorBehaviour = {}
  readonly #server: Server
  readonly #sockets = new Map<Socket, number>()
  #connections = 0
  #port = 0

  private constructor() {
    this.#server = createServer((request, response) => this.#serve(request, response))
    this.#server.on('connection', (socket) => {
      this.#sockets.set(socket, ++this.#connections)
      socket.on('close', () => this.#sockets.delete(socket))
    })
  }

  static async start(): Promise<FakeVendor> {
    const vendor = new FakeVendor()
    await vendor.up()
    return vendor
  }

  get port(): number {
    return this.#port
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#sockets.size
  }

  /** Listens (again, on the same port). */
  up(): Promise<void> {
    return new Promise((resolve) =>
      this.#server.listen(this.#port, '127.0.0.1', () => {
        this.#port = (this.#server.address() as AddressInfo).port
        resolve()
      }),
    )
  }

  /** Stops listening and breaks every connection. */
  down(): Promise<void> {
    for (const socket of this.#sockets.keys()) socket.destroy()
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }

  get origin(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get chats(): SeenRequest[] {
    return this.seen.filter(({ path }) => path.split('?', 1)[0]?.endsWith('/chat/completions'))
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      const { socket } = request
      const connection = this.#sockets.get(socket) ?? 0
      const { url = '', headers } = request
      const seen: SeenRequest = { path: url, headers, body, connection, ended: 'open', events: 0 }
      this.seen.push(seen)
      const { script } = this.behaviour
      response.on('close', () => {
        if (seen.ended === 'open') seen.ended = response.writableFinished ? 'complete' : 'client-left'
      })
      if (script !== undefined) return script({ seen, response, socket })
      if (request.method === 'GET') return sendJson(response, 200, { object: 'list', data: [] })
      this.#answer(seen, response)
    })
  }

  #answer(seen: SeenRequest, response: ServerResponse): void {
    const { tokens = 5, everyMs = 0, cutAfter, status = 200, headers = {} } = this.behaviour
    const asked = JSON.parse(seen.body) as {
      model: string
      stream?: boolean
      max_tokens?: number
      stream_options?: { include_usage?: boolean }
    }
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    if (status !== 200)
      return sendJson(response, status, {
        error: { message: 'told to fail', type: 'server_error', param: null, code: null },
      })
    const count = asked.max_tokens ?? tokens
    const usage = { prompt_tokens: 11, completion_tokens: count, total_tokens: 11 + count }
    const base = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: asked.model }
    if (asked.stream !== true) {
      const message = { role: 'assistant', content: 'word '.repeat(count) }
      return sendJson(response, 200, {
        ...base,
        object: 'chat.completion',
        choices: [{ index: 0, message, finish_reason: 'stop' }],
        usage,
      })
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const send = (value: unknown) => response.write(`data: ${JSON.stringify(value)}\n\n`)
    send({ ...base, choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] })
    const step = (): void => {
      if (response.destroyed) return
      if (cutAfter !== undefined && seen.events >= cutAfter) {
        response.destroy()
        return
      }
      if (seen.events < count) {
        seen.events++
        send({ ...base, choices: [{ index: 0, delta: { content: `w${seen.events} ` }, finish_reason: null }] })
        if (everyMs > 0) setTimeout(step, everyMs)
        else setImmediate(step)
        return
      }
      send({ ...base, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })
      if (asked.stream_options?.include_usage === true) send({ ...base, choices: [], usage })
      response.end('data: [DONE]\n\n')
    }
    step()
  }
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = JSON.stringify(value)
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
  response.end(body)
}
