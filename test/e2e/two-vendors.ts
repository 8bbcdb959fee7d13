import { request } from 'node:http'
import { FakeVendor, type ScriptedExchange, type SeenRequest } from './fake-vendor.ts'
import type { GatewayProcess } from './gateway-process.ts'
import { acmeKey, startOver } from './setting.ts'

/** How long a vendor may be silent here, before its first byte and between two. */
export const limitMs = 1_000
const limits = `{ firstByteMs: ${limitMs}, streamIdleMs: ${limitMs}, queueMs: 2000, drainMs: 3000 }`

export interface Asked {
  readonly id: string
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  /** From the request sent to the first byte of the body, and to the end, ms. */
  readonly firstMs: number
  readonly endMs: number
}

/** A gateway over two vendors in two countries, which a test makes misbehave. */
export class TwoVendors {
  readonly gb: FakeVendor
  readonly no: FakeVendor
  readonly gateway: GatewayProcess

  private constructor(gb: FakeVendor, no: FakeVendor, gateway: GatewayProcess) {
    this.gb = gb
    this.no = no
    this.gateway = gateway
  }

  static async start(extra: { concurrencyMax?: number } = {}): Promise<TwoVendors> {
    const gb = await FakeVendor.start()
    const no = await FakeVendor.start()
    const gateway = await startOver(
      [
        { name: 'azure-gb', vendor: gb, subProcessor: 'microsoft', country: 'GB' },
        { name: 'own-no', vendor: no, subProcessor: 'self', country: 'NO' },
      ],
      { limits, ...extra },
    )
    return new TwoVendors(gb, no, gateway)
  }

  async stop(): Promise<void> {
    await this.gateway.dispose()
    await Promise.all([this.gb.down(), this.no.down()])
  }

  /** What both were asked, in order at each. */
  get chats(): SeenRequest[] {
    return [...this.gb.chats, ...this.no.chats]
  }

  forget(): void {
    this.gb.seen.length = 0
    this.no.seen.length = 0
  }

  /** What both do with what they are asked. */
  bothDo(script: (exchange: ScriptedExchange) => void): void {
    for (const vendor of [this.gb, this.no]) vendor.behaviour = { script: orProbe(script) }
  }

  /** One request over a connection of its own, answered whole. */
  ask(body: object, headers: Record<string, string> = {}): Promise<Asked> {
    const sentMs = performance.now()
    return new Promise((resolve, reject) => {
      const call = request(
        `${this.gateway.url}/chat/completions`,
        {
          method: 'POST',
          agent: false,
          headers: { authorization: `Bearer ${acmeKey}`, 'content-type': 'application/json', ...headers },
        },
        (answer) => {
          const pieces: Buffer[] = []
          let firstMs = 0
          answer.on('data', (piece: Buffer) => {
            if (pieces.length === 0) firstMs = performance.now() - sentMs
            pieces.push(piece)
          })
          answer.on('error', reject)
          answer.on('end', () =>
            resolve({
              id: String(answer.headers['x-request-id']),
              status: answer.statusCode ?? 0,
              headers: answer.headers as Record<string, string>,
              body: Buffer.concat(pieces),
              firstMs,
              endMs: performance.now() - sentMs,
            }),
          )
        },
      )
      call.on('error', reject)
      call.end(JSON.stringify({ model: 'chat-large', messages: [{ role: 'user', content: 'hello' }], ...body }))
    })
  }

  /** Sends a request whose client leaves when told to. */
  leaving(body: object): { leave(): void } {
    const call = request(`${this.gateway.url}/chat/completions`, {
      method: 'POST',
      agent: false,
      headers: { authorization: `Bearer ${acmeKey}`, 'content-type': 'application/json' },
    })
    call.on('error', () => {})
    call.on('response', (answer) => answer.on('error', () => {}).resume())
    call.end(JSON.stringify({ model: 'chat-large', messages: [{ role: 'user', content: 'hello' }], ...body }))
    return { leave: () => call.destroy() }
  }
}

/** Does as the script says with what costs tokens; answers probes well. */
export const orProbe =
  (script: (exchange: ScriptedExchange) => void) =>
  (exchange: ScriptedExchange): void => {
    if (exchange.seen.body !== '') script(exchange)
    else exchange.response.writeHead(200, jsonHead).end('{"object":"list","data":[]}')
  }

export const idOf = (seen: SeenRequest) => String(seen.headers['x-request-id'])
export const askedOf = ({ body }: SeenRequest) =>
  JSON.parse(body) as { stream?: boolean; max_tokens: number; messages: { content: string }[] }
export const streamHead = { 'content-type': 'text/event-stream' }
export const jsonHead = { 'content-type': 'application/json' }
export const event = (value: object) => `data: ${JSON.stringify(value)}\n\n`
export const word = (content: string) => event({ id: 'c', choices: [{ index: 0, delta: { content } }] })
export const answerOf = (content: string) =>
  JSON.stringify({
    id: 'c',
    choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 11, completion_tokens: 1, total_tokens: 12 },
  })

/** Runs `one` for 0 to `count` - 1, so many at a time. */
export async function load<T>(count: number, atOnce: number, one: (index: number) => Promise<T>): Promise<T[]> {
  const outcomes: T[] = []
  let next = 0
  const run = async () => {
    while (next < count) {
      const index = next++
      outcomes[index] = await one(index)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, run))
  return outcomes
}
