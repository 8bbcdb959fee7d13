import type { Failure } from '../../core/failure.ts'
import type { AnswerHead, AnswerProgress, AnswerSink, Provider, ProviderCall, ProviderExchange } from './provider.ts'

export type Ending =
  | { readonly kind: 'whole'; readonly progress: AnswerProgress }
  | { readonly kind: 'refused'; readonly status: number; readonly body: Buffer }
  | { readonly kind: 'failed'; readonly failure: Failure; readonly progress: AnswerProgress }

/** Asks a provider and keeps what it tells, in order; `violations` holds every breach of the sink's rules. */
export class RecordedAnswer implements AnswerSink {
  readonly violations: string[] = []
  readonly progress: AnswerProgress[] = []
  head: AnswerHead | undefined
  ending: Ending | undefined
  /** Settles with the ending. Never where the answer is aborted. */
  readonly ended: Promise<Ending>
  readonly exchange: ProviderExchange
  /** Asked at each piece of data: go on? */
  goOn: () => boolean
  readonly #pieces: Uint8Array[] = []
  #end: (ending: Ending) => void = () => {}
  #inSend = true
  #aborted = false

  constructor(provider: Provider, call: ProviderCall, goOn = () => true) {
    this.goOn = goOn
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
    this.exchange = provider.send(call, this)
    this.#inSend = false
  }

  /** All bytes so far. */
  get bytes(): Buffer {
    return Buffer.concat(this.#pieces)
  }

  get text(): string {
    return this.bytes.toString()
  }

  get pieces(): number {
    return this.#pieces.length
  }

  abort(): void {
    this.#aborted = true
    this.exchange.abort()
  }

  onHead(head: AnswerHead): void {
    this.#check('head')
    if (this.head !== undefined) this.violations.push('a second head')
    this.head = head
  }

  onData(bytes: Uint8Array, progress: AnswerProgress): boolean {
    this.#check('data')
    if (this.head === undefined) this.violations.push('data before the head')
    this.#pieces.push(Uint8Array.from(bytes))
    this.progress.push(progress)
    return this.goOn()
  }

  onEnd(lastBytes: Uint8Array, progress: AnswerProgress): void {
    this.#check('end')
    if (this.head === undefined) this.violations.push('an end before the head')
    this.#pieces.push(Uint8Array.from(lastBytes))
    this.#finish({ kind: 'whole', progress })
  }

  onRefused(status: number, body: Uint8Array): void {
    this.#check('refusal')
    if (this.head !== undefined) this.violations.push('a refusal after the head')
    this.#finish({ kind: 'refused', status, body: Buffer.from(body) })
  }

  onFailure(failure: Failure, progress: AnswerProgress): void {
    this.#check('failure')
    this.#finish({ kind: 'failed', failure, progress })
  }

  #finish(ending: Ending): void {
    this.ending = ending
    this.#end(ending)
  }

  #check(what: string): void {
    if (this.#inSend) this.violations.push(`${what} from inside send`)
    if (this.#aborted) this.violations.push(`${what} after abort`)
    if (this.ending !== undefined) this.violations.push(`${what} after the ${this.ending.kind} end`)
  }
}

/** A chat request of its own id, as the gateway would hand it over. */
export function chatCall(options: Partial<ProviderCall> = {}): ProviderCall {
  const { stream = true } = options
  const body = options.body ?? [Buffer.from(JSON.stringify({ model: 'm', stream, messages: [] }))]
  let bodyBytes = 0
  for (const piece of body) bodyBytes += piece.length
  return {
    requestId: 'req_test',
    operation: 'chat/completions',
    upstreamModel: 'm',
    hideUsage: false,
    ...options,
    stream,
    body,
    bodyBytes,
  }
}
