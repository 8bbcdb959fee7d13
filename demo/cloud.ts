import { createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { Answer } from './answer.ts'
import type { CloudLog, ServedRequest } from './cloud-log.ts'
import { Accelerator, type AcceleratorName } from './performance.ts'
import { BadRequest, type Prompt, readPrompt } from './prompt.ts'
import type { Turn, Wheel } from './wheel.ts'
import { json, type Operation, type Reply, type Wire } from './wires/wire.ts'

export type Fault = 'down' | 'slow' | '429' | 'reset' | 'stall'

export interface CloudOptions {
  readonly cloud: string
  readonly country: string
  readonly accelerator: AcceleratorName
  readonly slots: number
  /** All times are divided by it. */
  readonly speed: number
  readonly wheel: Wheel
  readonly log: CloudLog
}

const slowFactor = 10
/** A prefix is taken for cached this long. */
const cacheMs = 300_000
const bodyBytesMax = 64 * 1024 * 1024

/** One cloud in one country: a listener with so many slots, each request as slow as its accelerator and its load make it. */
export class Cloud {
  readonly options: CloudOptions
  readonly #accelerator: Accelerator
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #running = new Set<Job>()
  readonly #prefixes = new Map<string, { tokens: number; untilMs: number }>()
  #wire: Wire | undefined
  #port = 0
  #fault: Fault | undefined
  #healing: NodeJS.Timeout | undefined

  constructor(options: CloudOptions) {
    this.options = options
    this.#accelerator = new Accelerator(options.accelerator)
    this.#server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => this.#take(request, response))
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
  }

  get port(): number {
    return this.#port
  }

  get fault(): Fault | undefined {
    return this.#fault
  }

  get inFlight(): number {
    return this.#running.size
  }

  get accelerator(): string {
    return this.#accelerator.name
  }

  async listen(wire: Wire): Promise<void> {
    this.#wire = wire
    await this.#listen()
  }

  async fail(how: Fault, forMs: number | undefined): Promise<void> {
    await this.heal()
    this.#fault = how
    if (forMs !== undefined) this.#healing = setTimeout(() => void this.heal(), forMs)
    if (how === 'down') {
      await new Promise<void>((resolve) => {
        this.#server.close(() => resolve())
        for (const job of this.#running) job.end('down')
        for (const socket of this.#sockets) socket.destroy()
      })
    } else if (how === 'reset') {
      for (const job of this.#running) {
        job.end('reset')
        job.response.socket?.resetAndDestroy()
      }
    }
  }

  async heal(): Promise<void> {
    clearTimeout(this.#healing)
    const was = this.#fault
    this.#fault = undefined
    if (was === 'down') await this.#listen()
  }

  async close(): Promise<void> {
    clearTimeout(this.#healing)
    for (const socket of this.#sockets) socket.destroy()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.#port, '127.0.0.1', () => {
        this.#port = (this.#server.address() as AddressInfo).port
        resolve()
      })
    })
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    if (this.#fault === 'reset') {
      request.socket.resetAndDestroy()
      return
    }
    const chunks: Buffer[] = []
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > bodyBytesMax) request.destroy()
      else chunks.push(chunk)
    })
    request.on('end', () => {
      // Silence: the connection stays open and nothing is said.
      if (this.#fault === 'stall') return
      this.#answer(request, response, Buffer.concat(chunks).toString('utf8'))
    })
  }

  #answer(request: IncomingMessage, response: ServerResponse, body: string): void {
    const wire = this.#wire as Wire
    const url = new URL(request.url ?? '/', 'http://cloud')
    if (!wire.isFree(url.pathname) && !wire.isAuthorized(request.headers))
      return this.#reply(response, wire.unauthorized)
    const route = wire.route(request.method ?? '', url.pathname, url.searchParams)
    if (route === undefined) return this.#reply(response, wire.notFound)
    if (route.kind === 'reply') return this.#reply(response, route.reply)
    if (route.kind === 'exchange') return this.#reply(response, route.answer(body))
    const record = this.#record(request)
    let prompt: Prompt
    try {
      prompt = readPrompt(body, route.operation)
    } catch (error) {
      if (!(error instanceof BadRequest)) throw error
      return this.#reject(response, wire.badRequest(error.message), record)
    }
    const named = { ...prompt, model: route.model ?? prompt.model }
    if (this.#fault === '429' || this.#running.size >= this.options.slots)
      return this.#reject(response, wire.tooMany(), { ...record, model: named.model })
    const cachedTokens = this.#cached(named)
    if (route.operation === 'embeddings') return this.#embed(response, named, record)
    this.#serve(response, named, route.operation, {
      ...record,
      model: named.model,
      stream: named.stream,
      promptTokens: named.tokens,
      cachedTokens,
    })
  }

  #serve(
    response: ServerResponse,
    prompt: Prompt,
    operation: Operation,
    record: Omit<ServedRequest, 'endMs' | 'ended'>,
  ): void {
    const { cloud, country, wheel, speed } = this.options
    const answer = new Answer({
      id: `${prompt.stream ? 'chatcmpl' : 'cmpl'}-${randomBytes(8).toString('hex')}`,
      prompt,
      place: { cloud, country, accelerator: this.accelerator },
      operation,
      tokens: prompt.outputTokens ?? 40 + (createHash('sha256').update(prompt.prefix).digest().readUInt16BE(0) % 160),
      cachedTokens: record.cachedTokens,
      createdSeconds: Math.floor(Date.now() / 1_000),
      choiceExtra: this.#wire?.choiceExtra ?? '',
    })
    const firstTokenMs =
      this.#accelerator.firstTokenMs(prompt.tokens - record.cachedTokens, this.#running.size + 1) / speed
    const job = new Job({
      response,
      answer,
      wire: this.#wire as Wire,
      country,
      stream: prompt.stream,
      firstDueMs: performance.now() + firstTokenMs * (this.#fault === 'slow' ? slowFactor : 1),
      perTokenMs: () =>
        (this.#accelerator.perTokenMs(this.#running.size) / speed) * (this.#fault === 'slow' ? slowFactor : 1),
      isStalled: () => this.#fault === 'stall',
      ended: (ended, tokens, bytes) => {
        this.#running.delete(job)
        wheel.remove(job.turn)
        this.options.log.write({
          ...record,
          completionTokens: tokens,
          contentEventsSent: prompt.stream ? tokens : 0,
          bytes,
          endMs: wallMs(),
          ended,
        })
      },
    })
    this.#running.add(job)
    wheel.add(job.turn)
  }

  #embed(response: ServerResponse, prompt: Prompt, record: Omit<ServedRequest, 'endMs' | 'ended'>): void {
    const vector = [...createHash('sha512').update(prompt.prefix).digest()].map((byte) => (byte - 127.5) / 127.5)
    const data = Array.from({ length: prompt.inputs }, (_, index) => ({
      object: 'embedding',
      index,
      embedding: vector,
    }))
    const reply = json(200, {
      object: 'list',
      data,
      model: prompt.model,
      usage: { prompt_tokens: prompt.tokens, total_tokens: prompt.tokens },
    })
    this.#reply(response, reply)
    this.options.log.write({
      ...record,
      model: prompt.model,
      promptTokens: prompt.tokens,
      bytes: reply.body.length,
      endMs: wallMs(),
      ended: 'complete',
    })
  }

  #reject(response: ServerResponse, reply: Reply, record: Omit<ServedRequest, 'endMs' | 'ended'>): void {
    this.#reply(response, reply)
    this.options.log.write({
      ...record,
      status: reply.status,
      bytes: reply.body.length,
      endMs: wallMs(),
      ended: 'rejected',
    })
  }

  #reply(response: ServerResponse, { status, headers, body }: Reply): void {
    response.writeHead(status, {
      ...this.#wire?.headers(this.options.country),
      ...headers,
      'content-length': Buffer.byteLength(body),
    })
    response.end(body)
  }

  #record(request: IncomingMessage): Omit<ServedRequest, 'endMs' | 'ended'> {
    const { cloud, country, slots } = this.options
    const id = request.headers['x-request-id']
    return {
      requestId: typeof id === 'string' ? id : null,
      cloud,
      country,
      model: '',
      stream: false,
      status: 200,
      promptTokens: 0,
      cachedTokens: 0,
      completionTokens: 0,
      contentEventsSent: 0,
      bytes: 0,
      startMs: wallMs(),
      slotsInUse: this.#running.size,
      slotsTotal: slots,
    }
  }

  /** Tokens of a beginning that was seen lately, in blocks of 64. */
  #cached(prompt: Prompt): number {
    const nowMs = performance.now()
    const key = createHash('sha1').update(prompt.prefix).digest('base64')
    const seen = this.#prefixes.get(key)
    const known = seen !== undefined && seen.untilMs > nowMs ? Math.min(seen.tokens, prompt.tokens) : 0
    if (this.#prefixes.size > 10_000) this.#prefixes.clear()
    this.#prefixes.set(key, { tokens: prompt.prefix.split(' ').length, untilMs: nowMs + cacheMs })
    return Math.floor(known / 64) * 64
  }
}

interface JobOptions {
  readonly response: ServerResponse
  readonly answer: Answer
  readonly wire: Wire
  readonly country: string
  readonly stream: boolean
  readonly firstDueMs: number
  readonly perTokenMs: () => number
  readonly isStalled: () => boolean
  readonly ended: (how: ServedRequest['ended'], tokens: number, bytes: number) => void
}

/** One answer being given. */
class Job {
  readonly response: ServerResponse
  readonly #options: JobOptions
  #dueMs: number
  #sent = 0
  #bytes = 0
  #over = false

  constructor(options: JobOptions) {
    this.#options = options
    this.response = options.response
    this.#dueMs = options.firstDueMs
    options.response.on('close', () => this.end('client-left'))
  }

  /** Writes the tokens that are due. */
  readonly turn: Turn = (nowMs) => {
    if (this.#over) return false
    const { answer, isStalled, perTokenMs, stream } = this.#options
    if (isStalled() || nowMs < this.#dueMs) return true
    // A client that does not read gets nothing made for it.
    if (this.response.writableNeedDrain) return true
    let text = ''
    const before = this.#sent
    while (this.#sent < answer.tokens && this.#dueMs <= nowMs) {
      if (stream) text += answer.token(this.#sent)
      this.#sent++
      this.#dueMs += perTokenMs()
    }
    if (stream) this.#write(before === 0 ? `${this.#options.wire.openingEvent}${answer.first()}${text}` : text)
    if (this.#sent < answer.tokens) return true
    this.#finish()
    return false
  }

  end(how: ServedRequest['ended']): void {
    if (this.#over) return
    this.#over = true
    this.#options.ended(how, this.#sent, this.#bytes)
  }

  #write(text: string): void {
    if (!this.response.headersSent) {
      this.response.writeHead(200, {
        ...this.#options.wire.headers(this.#options.country),
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-cache',
      })
    }
    this.#bytes += text.length
    this.response.write(text)
  }

  #finish(): void {
    const { answer, country, stream, wire } = this.#options
    if (stream) {
      const last = answer.last()
      this.#bytes += last.length
      this.response.end(last)
    } else {
      const body = answer.whole(wire.answerExtra)
      this.#bytes += body.length
      this.response.writeHead(200, {
        ...wire.headers(country),
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
      })
      this.response.end(body)
    }
    this.end('complete')
  }
}

/** Fractions of a millisecond on the wall clock. */
function wallMs(): number {
  return performance.timeOrigin + performance.now()
}
