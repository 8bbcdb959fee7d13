import { DeadlineHeap } from '../core/deadline-heap.ts'
import type { Arrival } from './demand.ts'
import type { Scenario } from './scenario-schema.ts'
import { SlotLine } from './slot-line.ts'
import { Stream } from './stream.ts'

/** A request that will be made once more. */
export interface ClientRetry {
  readonly arrival: Arrival
  readonly bornMs: number
  readonly clientTry: number
}

/** How clients behave who get no answer: they wait some time, ask again some times, and give up. */
export class Clients {
  retries: number
  backoffMs: number
  readonly patienceMs: number
  readonly #giveUpMs: number
  readonly #stream: Stream
  readonly #retries = new DeadlineHeap<ClientRetry>()
  /** Who waits for a first token, in the order of arrival, which is the order of giving up. */
  readonly impatient = new SlotLine()

  constructor({ clients, seed }: Scenario) {
    this.retries = clients.retries
    this.backoffMs = clients.backoff
    this.patienceMs = clients.patience
    this.#giveUpMs = clients.giveUp ?? Number.POSITIVE_INFINITY
    this.#stream = new Stream(seed, 'clients')
  }

  get nextRetryMs(): number {
    return this.#retries.firstDueMs
  }

  takeRetry(): ClientRetry {
    const retry = this.#retries.first as ClientRetry
    this.#retries.removeFirst()
    return retry
  }

  /** The request failed; gives whether its client will ask again. `retryAfterMs`: what it was told. */
  failed(retry: ClientRetry, retryAfterMs: number | undefined, nowMs: number): boolean {
    const asked = retry.clientTry
    if (asked > this.retries) return false
    // Doubling with jitter, as the official clients of OpenAI do it, and never sooner than they were told.
    const backoffMs = this.backoffMs * 2 ** (asked - 1) * (0.75 + 0.25 * this.#stream.next())
    const dueMs = nowMs + Math.max(backoffMs, retryAfterMs ?? 0)
    if (dueMs > retry.bornMs + this.#giveUpMs) return false
    this.#retries.add({ ...retry, clientTry: asked + 1 }, dueMs)
    return true
  }
}
