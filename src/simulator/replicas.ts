import { eachTokenMs, firstTokenMs, type LatencyModel } from './latency.ts'
import type { Requests } from './requests.ts'
import { SlotHeaps } from './slot-heaps.ts'

/** Replicas of one kind. */
export interface ReplicaKind {
  readonly latency: LatencyModel
  /** Requests at one replica at once, at the most. */
  readonly concurrencyMax: number
}

/** Where a replica has which number. */
const at = {
  /** The token count that its clock shows, and when it was last looked at, ms. */
  tokens: 0,
  tokensAtMs: 1,
  /** For one further token of each sequence, ms. */
  eachMs: 2,
  kvTokens: 3,
  /** How many times slower than it should be. */
  slowness: 4,
  stalledUntilMs: 5,
  end: 8,
} as const

/**
 * What the replicas do, request by request: first the prompt, then one token after the other. All sequences of a batch
 * advance together, so a replica counts tokens on a clock of its own that runs slower the fuller it is; a sequence is
 * whole when that clock shows the number that was set at its first token. Only changes of the batch cost anything.
 */
export class Replicas {
  readonly #kinds: readonly ReplicaKind[]
  readonly #requests: Requests
  /** Requests without a first token yet, by when it is due, ms. */
  readonly #prompts: SlotHeaps
  /** Sequences by the token count at which they are whole. */
  readonly #sequences: SlotHeaps
  /** Of each replica the numbers that change, side by side: see `at`. */
  readonly #numbers: Float64Array
  /** Reasons for which it cannot be reached; 0 where it works. */
  readonly #outages: Uint16Array

  /** `kinds[r]`: what replica `r` is. */
  constructor(kinds: readonly ReplicaKind[], requests: Requests) {
    this.#kinds = kinds
    this.#requests = requests
    const capacities = kinds.map(({ concurrencyMax }) => concurrencyMax)
    const order = (slot: number): number => requests.sequence[slot] as number
    this.#prompts = new SlotHeaps(capacities, order)
    this.#sequences = new SlotHeaps(capacities, order)
    this.#numbers = new Float64Array(kinds.length * at.end)
    kinds.forEach(({ latency }, replica) => {
      this.#numbers[replica * at.end + at.eachMs] = eachTokenMs(latency, 1, 0)
      this.#numbers[replica * at.end + at.slowness] = 1
      this.#numbers[replica * at.end + at.stalledUntilMs] = Number.NEGATIVE_INFINITY
    })
    this.#outages = new Uint16Array(kinds.length)
  }

  get count(): number {
    return this.#kinds.length
  }

  inFlight(replica: number): number {
    return this.#prompts.size(replica) + this.#sequences.size(replica)
  }

  hasRoom(replica: number): boolean {
    return this.inFlight(replica) < (this.#kinds[replica] as ReplicaKind).concurrencyMax
  }

  isUp(replica: number): boolean {
    return this.#outages[replica] === 0
  }

  /** When something happens at this replica; infinite where nothing will. */
  nextMs(replica: number): number {
    return Math.min(this.#prompts.firstKey(replica), this.#nextWholeMs(replica))
  }

  /**
   * A request comes in that `networkMs` of way lie before. Gives when its first token is due. Must have room.
   */
  begin(replica: number, slot: number, networkMs: number, nowMs: number): number {
    const { latency } = this.#kinds[replica] as ReplicaKind
    const { input, cachedInput } = this.#requests
    const uncached = (input[slot] as number) - (cachedInput[slot] as number)
    const workMs =
      firstTokenMs(latency, uncached, this.inFlight(replica) + 1) *
      (this.#numbers[replica * at.end + at.slowness] as number)
    const dueMs = Math.max(nowMs, this.#numbers[replica * at.end + at.stalledUntilMs] as number) + networkMs + workMs
    this.#prompts.add(replica, slot, dueMs)
    return dueMs
  }

  /** What happens now: a first token (the sequence goes on), or a sequence that is whole and leaves. */
  step(replica: number, nowMs: number): { readonly slot: number; readonly whole: boolean } {
    if (this.#prompts.firstKey(replica) <= this.#nextWholeMs(replica)) {
      const slot = this.#prompts.removeFirst(replica)
      this.#advance(replica, nowMs)
      // The first token is there; the clock shows the others' number when it is whole.
      const others = Math.max(0, (this.#requests.output[slot] as number) - 1)
      this.#sequences.add(replica, slot, (this.#numbers[replica * at.end + at.tokens] as number) + others)
      this.#batchChanged(replica, this.#kvOf(slot))
      return { slot, whole: false }
    }
    this.#advance(replica, nowMs)
    const slot = this.#sequences.removeFirst(replica)
    this.#batchChanged(replica, -this.#kvOf(slot))
    return { slot, whole: true }
  }

  /** Takes a request out before it is whole. Gives how many tokens it had. */
  remove(replica: number, slot: number, nowMs: number): number {
    if (this.#prompts.remove(replica, slot) !== undefined) return 0
    this.#advance(replica, nowMs)
    const wholeAt = this.#sequences.remove(replica, slot)
    if (wholeAt === undefined) return 0
    this.#batchChanged(replica, -this.#kvOf(slot))
    const output = this.#requests.output[slot] as number
    return Math.max(
      1,
      Math.min(output, Math.floor(output - (wholeAt - (this.#numbers[replica * at.end + at.tokens] as number)))),
    )
  }

  /** Every request at this replica, those without a first token first. */
  requestsAt(replica: number): { readonly prompts: Int32Array; readonly sequences: Int32Array } {
    return { prompts: this.#prompts.slots(replica), sequences: this.#sequences.slots(replica) }
  }

  firstTokenDueMs(replica: number, slot: number): number | undefined {
    return this.#prompts.keyOf(replica, slot)
  }

  /** One reason more, or (-1) one less, why the replica cannot be reached. What ran there is the caller's to end. */
  addOutage(replica: number, change: 1 | -1): void {
    this.#outages[replica] = (this.#outages[replica] as number) + change
  }

  /** From now on everything takes `times` as long as before. */
  slowDown(replica: number, times: number, nowMs: number): void {
    this.#advance(replica, nowMs)
    this.#numbers[replica * at.end + at.slowness] = (this.#numbers[replica * at.end + at.slowness] as number) * times
    this.#prompts.move(replica, nowMs, times, 0)
    this.#batchChanged(replica, 0)
  }

  /** Nothing advances until then. */
  stall(replica: number, untilMs: number, nowMs: number): void {
    this.#advance(replica, nowMs)
    const fromMs = Math.max(nowMs, this.#numbers[replica * at.end + at.stalledUntilMs] as number)
    if (untilMs <= fromMs) return
    this.#numbers[replica * at.end + at.stalledUntilMs] = untilMs
    this.#prompts.move(replica, nowMs, 1, untilMs - fromMs)
  }

  #nextWholeMs(replica: number): number {
    const left = this.#sequences.firstKey(replica) - (this.#numbers[replica * at.end + at.tokens] as number)
    if (left === Number.POSITIVE_INFINITY) return left
    const fromMs = Math.max(
      this.#numbers[replica * at.end + at.tokensAtMs] as number,
      this.#numbers[replica * at.end + at.stalledUntilMs] as number,
    )
    return fromMs + left * (this.#numbers[replica * at.end + at.eachMs] as number)
  }

  /** Lets the replica's token clock run up to now. */
  #advance(replica: number, nowMs: number): void {
    const fromMs = Math.max(
      this.#numbers[replica * at.end + at.tokensAtMs] as number,
      this.#numbers[replica * at.end + at.stalledUntilMs] as number,
    )
    if (nowMs > fromMs && this.#sequences.size(replica) > 0)
      this.#numbers[replica * at.end + at.tokens] =
        (this.#numbers[replica * at.end + at.tokens] as number) +
        (nowMs - fromMs) / (this.#numbers[replica * at.end + at.eachMs] as number)
    this.#numbers[replica * at.end + at.tokensAtMs] = nowMs
  }

  #batchChanged(replica: number, kvTokens: number): void {
    const kv = Math.max(0, (this.#numbers[replica * at.end + at.kvTokens] as number) + kvTokens)
    this.#numbers[replica * at.end + at.kvTokens] = kv
    const batch = Math.max(1, this.#sequences.size(replica))
    const { latency } = this.#kinds[replica] as ReplicaKind
    this.#numbers[replica * at.end + at.eachMs] =
      eachTokenMs(latency, batch, kv) * (this.#numbers[replica * at.end + at.slowness] as number)
  }

  /** Tokens a sequence holds in the cache on average over its life. */
  #kvOf(slot: number): number {
    return (this.#requests.input[slot] as number) + (this.#requests.output[slot] as number) / 2
  }
}
