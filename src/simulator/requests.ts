import type { Arrival } from './demand.ts'

/** Where a request is. */
export const stage = { free: 0, waiting: 1, asked: 2, answering: 3 } as const

/**
 * All open requests, as columns: the request in slot `s` has its arrival at `arrivedMs[s]`, and so on. A slot is used
 * again once its request has ended.
 */
export class Requests {
  /** The id the scheduler knows it by. Made once for each slot, so that a request more costs no text. */
  readonly ids: string[] = []
  /** Requests are counted as they come; tells two that had the same slot apart. */
  sequence = new Float64Array(0)
  /** When the client first asked: before its retries. */
  bornMs = new Float64Array(0)
  arrivedMs = new Float64Array(0)
  dispatchedMs = new Float64Array(0)
  /** When its first token came; only for those that are answering. */
  firstTokenMs = new Float64Array(0)
  /** The scheduler's name of the running try; 0 where none runs. */
  attemptId = new Float64Array(0)
  tenant = new Int32Array(0)
  input = new Int32Array(0)
  cachedInput = new Int32Array(0)
  output = new Int32Array(0)
  endpoint = new Int32Array(0)
  replica = new Int32Array(0)
  /** How often its client has asked, this time included. */
  clientTry = new Uint8Array(0)
  attempts = new Uint8Array(0)
  stage = new Uint8Array(0)
  /** How it came, for its client may ask again. */
  readonly arrival: (Arrival | undefined)[] = []
  #free = new Int32Array(0)
  #freeCount = 0
  #count = 0

  /** Requests that are open. */
  get open(): number {
    return this.ids.length - this.#freeCount
  }

  /** Slots there are, free ones included. */
  get slots(): number {
    return this.ids.length
  }

  /** A slot for a new request. */
  add(): number {
    if (this.#freeCount === 0) this.#grow()
    const slot = this.#free[--this.#freeCount] as number
    this.sequence[slot] = ++this.#count
    this.attemptId[slot] = 0
    this.attempts[slot] = 0
    this.cachedInput[slot] = 0
    this.stage[slot] = stage.waiting
    return slot
  }

  remove(slot: number): void {
    this.stage[slot] = stage.free
    this.arrival[slot] = undefined
    this.#free[this.#freeCount++] = slot
  }

  #grow(): void {
    const from = this.slots
    const to = Math.max(1_024, from * 2)
    const wider = <A extends Float64Array | Int32Array | Uint8Array>(column: A, next: A): A => {
      next.set(column)
      return next
    }
    this.sequence = wider(this.sequence, new Float64Array(to))
    this.bornMs = wider(this.bornMs, new Float64Array(to))
    this.arrivedMs = wider(this.arrivedMs, new Float64Array(to))
    this.dispatchedMs = wider(this.dispatchedMs, new Float64Array(to))
    this.firstTokenMs = wider(this.firstTokenMs, new Float64Array(to))
    this.attemptId = wider(this.attemptId, new Float64Array(to))
    this.tenant = wider(this.tenant, new Int32Array(to))
    this.input = wider(this.input, new Int32Array(to))
    this.cachedInput = wider(this.cachedInput, new Int32Array(to))
    this.output = wider(this.output, new Int32Array(to))
    this.endpoint = wider(this.endpoint, new Int32Array(to))
    this.replica = wider(this.replica, new Int32Array(to))
    this.clientTry = wider(this.clientTry, new Uint8Array(to))
    this.attempts = wider(this.attempts, new Uint8Array(to))
    this.stage = wider(this.stage, new Uint8Array(to))
    this.#free = new Int32Array(to)
    for (let slot = to - 1; slot >= from; slot--) this.#free[this.#freeCount++] = slot
    for (let slot = from; slot < to; slot++) {
      this.ids.push(String(slot))
      this.arrival.push(undefined)
    }
  }
}
