import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import { FakeVendor, type ScriptedExchange } from '../../../../test/e2e/fake-vendor.ts'
import type { Clock } from '../../../core/clock.ts'
import type { Provider, ProviderCall } from '../provider.ts'
import { chatCall, RecordedAnswer } from '../testing.ts'

export interface ContractLimits {
  readonly connectMs: number
  readonly firstByteMs: number
  readonly streamIdleMs: number
  readonly answerBytesMax: number
}

const wallMs = 1_800_000_000_000
/** For the providers under test: the wall clock stands still. */
export const clock: Clock = { nowMs: () => performance.now(), wallMs: () => wallMs }

export const limits: ContractLimits = {
  connectMs: 1_000,
  firstByteMs: 2_000,
  streamIdleMs: 2_000,
  answerBytesMax: 4 * 1024 * 1024,
}

export type OpenProvider = (
  origin: string,
  limits: ContractLimits,
  onProblem?: (problem: string) => void,
) => Promise<Provider>

type Script = (exchange: ScriptedExchange) => void

/** One vendor and one provider that speaks to it, for all parts of the contract; what was told is checked after each test. */
export class Setting {
  readonly #open: OpenProvider
  readonly #recorded: RecordedAnswer[] = []
  #vendor: FakeVendor | undefined
  #provider: Provider | undefined

  constructor(open: OpenProvider) {
    this.#open = open
    beforeAll(async () => {
      this.#vendor = await FakeVendor.start()
      this.#provider = await this.open()
    })
    afterAll(async () => {
      await this.provider.close()
      await this.vendor.down()
    })
    beforeEach(() => {
      this.vendor.behaviour = {}
      this.vendor.seen.length = 0
      this.#recorded.length = 0
    })
    afterEach(() => {
      for (const answer of this.#recorded) expect(answer.violations).toEqual([])
    })
  }

  get vendor(): FakeVendor {
    return this.#vendor as FakeVendor
  }

  get provider(): Provider {
    return this.#provider as Provider
  }

  /** Another provider, which the test closes. */
  open(
    changed: Partial<ContractLimits> = {},
    onProblem?: (problem: string) => void,
    origin = this.vendor.origin,
  ): Promise<Provider> {
    return this.#open(origin, { ...limits, ...changed }, onProblem)
  }

  /** Another provider while it is used. */
  async withLimits(changed: Partial<ContractLimits>, use: (other: Provider) => Promise<void>): Promise<void> {
    const other = await this.open(changed)
    try {
      await use(other)
    } finally {
      await other.close()
    }
  }

  ask(options: Partial<ProviderCall> = {}, goOn?: () => boolean, of = this.provider): RecordedAnswer {
    const answer = new RecordedAnswer(of, chatCall(options), goOn)
    this.#recorded.push(answer)
    return answer
  }

  /** The answer to one call, once it has ended, of a vendor that does as the script says. */
  async asked(script: Script, options: Partial<ProviderCall> = {}, of = this.provider): Promise<RecordedAnswer> {
    this.vendor.behaviour = { script }
    const answer = this.ask(options, undefined, of)
    await answer.ended
    return answer
  }
}

export const event = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`
export const chunk = (delta: object, more: object = {}) =>
  event({ id: 'chatcmpl-1', object: 'chat.completion.chunk', choices: [{ index: 0, delta }], ...more })
export const word = (content: string) => chunk({ content })
export const usage = {
  prompt_tokens: 12,
  completion_tokens: 2,
  total_tokens: 14,
  prompt_tokens_details: { cached_tokens: 4 },
}
export const usageEvent = event({ id: 'chatcmpl-1', object: 'chat.completion.chunk', choices: [], usage })
export const done = 'data: [DONE]\n\n'
export const whole = JSON.stringify({
  id: 'chatcmpl-1',
  big: '@',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Grüße 👋' }, finish_reason: 'stop' }],
  usage,
}).replace('"@"', '9007199254740993')
export const jsonHead = { 'content-type': 'application/json' }
export const streamHead = { 'content-type': 'text/event-stream; charset=utf-8' }

/** Sends a body in pieces, each in an HTTP chunk of its own, so that each is handed on by itself. */
export const inPieces =
  (headers: Record<string, string>, pieces: readonly (string | Buffer)[]) =>
  async ({ response }: ScriptedExchange) => {
    response.writeHead(200, headers).flushHeaders()
    for (const piece of pieces) {
      response.write(piece)
      // Within one turn of the event loop Node would make one chunk of them.
      await new Promise(setImmediate)
    }
    response.end()
  }
export const streams = (...pieces: (string | Buffer)[]) => inPieces(streamHead, pieces)
export const bytesOf = (text: string) => [...Buffer.from(text)].map((byte) => Buffer.from([byte]))
export const answers =
  (status: number, headers: Record<string, string>, body: string | Buffer) =>
  ({ response }: ScriptedExchange) => {
    response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) })
    response.end(body)
  }
/** Bytes as they are; `close` ends the connection after them. */
export const raw =
  (bytes: string | Buffer, close = false) =>
  ({ socket }: ScriptedExchange) => {
    socket.write(bytes)
    if (close) socket.end()
  }
export const rawJson = (length: number, body: string, more = '') =>
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n${more}\r\n${body}`
export const ok = `HTTP/1.1 200 OK\r\n`
