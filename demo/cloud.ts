import { createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { Answer } from './answer.ts'
import { type CloudLog, type Fault, type ServedRequest, wallMs } from './cloud-log.ts'
import { Job } from './job.ts'
import { Accelerator, type AcceleratorName } from './performance.ts'
import { BadRequest, type Prompt, readPrompt } from './prompt.ts'
import type { Wheel } from './wheel.ts'
import { json, type Operation, type Reply, type Wire } from './wires/wire.ts'

/** A request that has come whole, and what is known of its end from the beginning. */
type Arrival = Omit<ServedRequest, 'endMs' | 'ended'>

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
    this.#logFault(how)
    if (forMs !== undefined) this.#healing = setTimeout(() => void this.heal(), forMs)
    if (how === 'down') {
      await this.#shut()
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
    if (was === undefined) return
    this.#fault = undefined
    if (was === 'down') await this.#listen()
    this.#logFault(null)
  }

  async close(): Promise<void> {
    clearTimeout(this.#healing)
    await this.#shut()
  }

  #logFault(how: Fault | null): void {
    const { cloud, country, log } = this.options
    log.write({ kind: 'fault', cloud, country, how, atMs: wallMs() })
  }

  /** Ends what runs, closes every connection and the listener. */
  #shut(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
      for (const job of this.#running) job.end('down')
      for (const socket of this.#sockets) socket.destroy()
    })
  }

  #listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.#port, '127.0.0.1', () => {
        this.#server.off('error', reject)
        this.#port = (this.#server.address() as AddressInfo).port
        resolve()
      })
    })
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    if (this.#fault === 'reset') return this.#reset(request)
    const chunks: Buffer[] = []
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > bodyBytesMax) request.destroy()
      else chunks.push(chunk)
    })
    request.on('end', () => {
      if (this.#fault === 'reset') return this.#reset(request)
      if (this.#fault === 'stall') return this.#keepSilent(request, response)
      this.#answer(request, response, Buffer.concat(chunks).toString('utf8'))
    })
  }

  #reset(request: IncomingMessage): void {
    if (request.method === 'POST') this.#end({ ...this.#arrival(request), status: 0 }, 'reset')
    request.socket.resetAndDestroy()
  }

  /** The connection stays open and nothing is said. */
  #keepSilent(request: IncomingMessage, response: ServerResponse): void {
    if (request.method !== 'POST') return
    const arrival = this.#arrival(request)
    response.on('close', () => this.#end({ ...arrival, status: 0 }, 'silent'))
  }

  #answer(request: IncomingMessage, response: ServerResponse, body: string): void {
    const wire = this.#wire as Wire
    const url = URL.parse(request.url ?? '', 'http://cloud')
    if (url === null) return this.#reply(response, wire.notFound)
    const route = wire.route(request.method ?? '', url.pathname, url.searchParams)
    if (!wire.isFree(url.pathname) && !wire.isAuthorized(request.headers)) {
      if (route?.kind === 'operation') return this.#reject(response, wire.unauthorized, this.#arrival(request))
      return this.#reply(response, wire.unauthorized)
    }
    if (route === undefined) return this.#reply(response, wire.notFound)
    if (route.kind === 'reply') return this.#reply(response, route.reply)
    if (route.kind === 'exchange') return this.#reply(response, route.answer(body))
    const arrival = this.#arrival(request)
    let prompt: Prompt
    try {
      prompt = readPrompt(body, route.operation)
    } catch (error) {
      if (!(error instanceof BadRequest)) throw error
      return this.#reject(response, wire.badRequest(error.message), arrival)
    }
    const named = { ...prompt, model: route.model ?? prompt.model }
    if (!wire.models.includes(named.model))
      return this.#reject(response, wire.unknownModel(named.model), { ...arrival, model: named.model })
    if (this.#fault === '429' || this.#running.size >= this.options.slots)
      return this.#reject(response, wire.tooMany(), { ...arrival, model: named.model })
    const cachedTokens = this.#cached(named)
    if (route.operation === 'embeddings') return this.#embed(response, named, arrival)
    this.#serve(response, named, route.operation, {
      ...arrival,
      model: named.model,
      stream: named.stream,
      promptTokens: named.tokens,
      cachedTokens,
    })
  }

  #serve(response: ServerResponse, prompt: Prompt, operation: Operation, arrival: Arrival): void {
    const { cloud, country, wheel, speed } = this.options
    const answer = new Answer({
      id: `${prompt.stream ? 'chatcmpl' : 'cmpl'}-${randomBytes(8).toString('hex')}`,
      prompt,
      place: { cloud, country, accelerator: this.accelerator },
      operation,
      tokens: prompt.outputTokens ?? 40 + (createHash('sha256').update(prompt.prefix).digest().readUInt16BE(0) % 160),
      cachedTokens: arrival.cachedTokens,
      createdSeconds: Math.floor(Date.now() / 1_000),
      choiceExtra: this.#wire?.choiceExtra ?? '',
    })
    const firstTokenMs =
      this.#accelerator.firstTokenMs(prompt.tokens - arrival.cachedTokens, this.#running.size + 1) / speed
    const job = new Job({
      response,
      answer,
      wire: this.#wire as Wire,
      headers: this.#headers(prompt.model),
      stream: prompt.stream,
      firstDueMs: performance.now() + firstTokenMs * (this.#fault === 'slow' ? slowFactor : 1),
      perTokenMs: () =>
        (this.#accelerator.perTokenMs(this.#running.size) / speed) * (this.#fault === 'slow' ? slowFactor : 1),
      isStalled: () => this.#fault === 'stall',
      ended: (ended, tokens, bytes) => {
        this.#running.delete(job)
        wheel.remove(job.turn)
        const contentEventsSent = prompt.stream ? tokens : 0
        this.#end({ ...arrival, completionTokens: tokens, contentEventsSent, bytes }, ended)
      },
    })
    this.#running.add(job)
    wheel.add(job.turn)
  }

  #embed(response: ServerResponse, prompt: Prompt, arrival: Arrival): void {
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
    const { model, tokens: promptTokens } = prompt
    this.#reply(response, reply, model)
    this.#end({ ...arrival, model, promptTokens, bytes: Buffer.byteLength(reply.body) }, 'complete')
  }

  #reject(response: ServerResponse, reply: Reply, arrival: Arrival): void {
    this.#reply(response, reply, arrival.model)
    this.#end({ ...arrival, status: reply.status, bytes: Buffer.byteLength(reply.body) }, 'rejected')
  }

  #end(arrival: Arrival, ended: ServedRequest['ended']): void {
    this.options.log.write({ ...arrival, endMs: wallMs(), ended })
  }

  #reply(response: ServerResponse, { status, headers, body }: Reply, model = ''): void {
    response.writeHead(status, {
      ...this.#headers(model),
      ...headers,
      'content-length': Buffer.byteLength(body),
    })
    response.end(body)
  }

  #headers(model: string): Readonly<Record<string, string>> {
    const { cloud, country } = this.options
    return { ...this.#wire?.headers(country, model), 'x-simulation': `${cloud}/${country} on ${this.accelerator}` }
  }

  #arrival(request: IncomingMessage): Arrival {
    const { cloud, country, slots } = this.options
    const id = request.headers['x-request-id']
    return {
      kind: 'request',
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
