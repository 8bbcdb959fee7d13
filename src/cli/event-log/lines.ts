import type { Endpoint } from '../../core/endpoint.ts'
import type { Action, SchedulerEvent } from '../../core/events.ts'
import type { RequestId } from '../../core/ids.ts'
import type { Eligibility, RequestFacts } from '../../core/request.ts'
import type { SchedulerPolicy } from '../../core/scheduler.ts'

/** Counts changes of the lines below that an older reader would misunderstand. */
export const eventLogFormat = 2

/**
 * An event log is lines of JSON. Each run of a gateway begins with one that says what its scheduler was made of; then
 * come the events, each followed by what the scheduler said to it, if anything. Words of the register are written once,
 * before the first event that holds one, and named by number: who has the same word has the same object.
 */
export interface RunLine {
  readonly eventLog: number
  readonly seed: number
  readonly policy: SchedulerPolicy
}

export interface WordLine {
  readonly word: number
  readonly words: readonly number[]
  readonly indices: readonly number[]
  readonly version: number
}

export interface EventLine {
  readonly nowMs: number
  readonly event: LoggedEvent
}

/** An event that holds the number of a word in its place. */
export type LoggedEvent =
  | Exclude<SchedulerEvent, { kind: 'request-arrived' | 'eligibility-changed' }>
  | {
      readonly kind: 'request-arrived'
      readonly request: Omit<RequestFacts, 'eligible'> & { readonly eligible: number }
    }
  | { readonly kind: 'eligibility-changed'; readonly requestId: RequestId; readonly eligible: number }

export interface SaidLine {
  readonly said: readonly Said[]
}

/** An action as the log has it: endpoints by their ids. */
export type Said =
  | { readonly dispatch: number; readonly request: string; readonly number: number; readonly endpoint: string }
  | Exclude<Action, { kind: 'dispatch' }>

export function saidOf(action: Action): Said {
  if (action.kind !== 'dispatch') return action
  const { id, requestId, number, endpoint } = action.attempt
  return { dispatch: id, request: requestId, number, endpoint: endpoint.id }
}

/** Writes events as lines; remembers which words have been written. */
export class EventEncoder {
  readonly #numbers = new WeakMap<Eligibility, number>()
  #count = 0

  /** The line of the event, and before it that of the word it holds where that is new. */
  lines(event: SchedulerEvent, nowMs: number): readonly (WordLine | EventLine)[] {
    switch (event.kind) {
      case 'request-arrived': {
        const { word, eligible } = this.#numberOf(event.request.eligible)
        return [...word, { nowMs, event: { ...event, request: { ...event.request, eligible } } }]
      }
      case 'eligibility-changed': {
        const { word, eligible } = this.#numberOf(event.eligible)
        return [...word, { nowMs, event: { ...event, eligible } }]
      }
      case 'endpoints-changed':
        return [{ nowMs, event: { ...event, endpoints: event.endpoints.map(plainEndpoint) } }]
      default:
        return [{ nowMs, event }]
    }
  }

  #numberOf(eligible: Eligibility): { readonly word: readonly WordLine[]; readonly eligible: number } {
    const known = this.#numbers.get(eligible)
    if (known !== undefined) return { word: [], eligible: known }
    this.#numbers.set(eligible, ++this.#count)
    const { words, indices, version } = eligible
    return { word: [{ word: this.#count, words: [...words], indices: [...indices], version }], eligible: this.#count }
  }
}

/** Reads events from lines. */
export class EventDecoder {
  readonly #words = new Map<number, Eligibility>()

  learn({ word, words, indices, version }: WordLine): void {
    this.#words.set(word, { words: Uint32Array.from(words), indices: Int32Array.from(indices), version })
  }

  /** Throws where the event names a word that was not written. */
  event({ event }: EventLine): SchedulerEvent {
    if (event.kind === 'request-arrived')
      return { ...event, request: { ...event.request, eligible: this.#word(event.request.eligible) } }
    if (event.kind === 'eligibility-changed') return { ...event, eligible: this.#word(event.eligible) }
    return event
  }

  #word(number: number): Eligibility {
    const word = this.#words.get(number)
    if (word === undefined) throw new Error(`the word ${number} is not in the log`)
    return word
  }
}

/** What the core knows of an endpoint: hosts hang their own things on it. */
function plainEndpoint(endpoint: Endpoint): Endpoint {
  const { id, index, model, subProcessor, country, concurrencyMax, prices } = endpoint
  const { tokensPerMinute, requestsPerMinute, keepsCharge, noLoadFirstToken, kvTokens } = endpoint
  const { rampFromTokensPerMinute } = endpoint
  return {
    id,
    index,
    model,
    subProcessor,
    country,
    concurrencyMax,
    ...(prices && { prices }),
    ...(tokensPerMinute !== undefined && { tokensPerMinute }),
    ...(requestsPerMinute !== undefined && { requestsPerMinute }),
    ...(keepsCharge && { keepsCharge }),
    ...(rampFromTokensPerMinute !== undefined && { rampFromTokensPerMinute }),
    ...(kvTokens !== undefined && { kvTokens }),
    ...(noLoadFirstToken && { noLoadFirstToken }),
  }
}
