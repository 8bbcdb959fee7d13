import { FlatMap } from '../../core/flat-map.ts'
import type { JournalEntry } from './journal-line.ts'
import type { JournalRecord } from './journal-record.ts'

type Admit = JournalRecord & { kind: 'admit' }
type AttemptRecord = JournalRecord & { kind: 'attempt' }
type Outcome = JournalRecord & { kind: 'outcome' }
export type Settle = JournalRecord & { kind: 'settle' }
type Refuse = JournalRecord & { kind: 'refuse' }

export interface JournaledAttempt {
  readonly seq: number
  readonly record: AttemptRecord
  outcome: Outcome | undefined
}

/** A request as the journal tells it, while it is not settled. */
export interface OpenRequest {
  readonly seq: number
  readonly admit: Admit
  readonly attempts: JournaledAttempt[]
  /** At most so many output tokens were handed out, by the last mark; 0 before the first. */
  marked: number
}

/** A request that has ended, ready for the ledger. */
export type Ended =
  | { readonly kind: 'settled'; readonly request: OpenRequest; readonly settle: Settle }
  | { readonly kind: 'refused'; readonly seq: number; readonly refuse: Refuse }

/** To be looked at only. */
export type OpenRequestsView = Pick<OpenRequests, 'get' | 'all'>

/** Follows the journal and puts together what belongs to one request. Holds only what is open. */
export class OpenRequests {
  readonly #open = new FlatMap<string, OpenRequest>()

  get(id: string): OpenRequest | undefined {
    return this.#open.get(id)
  }

  /** In order of admission. */
  all(): readonly OpenRequest[] {
    return this.#open.values().sort((a, b) => a.seq - b.seq)
  }

  /** Everything before this is part of a request that has ended. `lastSeq`: the last entry taken. */
  lowWater(lastSeq: number): number {
    return this.#open.values().reduce((low, { seq }) => Math.min(low, seq - 1), lastSeq)
  }

  /** Gives the request where the entry ends it. Entries about requests it does not know (already settled) are nothing. */
  take({ seq, record }: JournalEntry): Ended | undefined {
    switch (record.kind) {
      case 'admit':
        this.#open.set(record.id, { seq, admit: record, attempts: [], marked: 0 })
        return undefined
      case 'attempt':
        this.#open.get(record.id)?.attempts.push({ seq, record, outcome: undefined })
        return undefined
      case 'mark': {
        const request = this.#open.get(record.id)
        if (request !== undefined) request.marked = Math.max(request.marked, record.outputTokens)
        return undefined
      }
      case 'outcome': {
        const attempt = this.#open.get(record.id)?.attempts.find(({ record: { n } }) => n === record.n)
        if (attempt !== undefined) attempt.outcome = record
        return undefined
      }
      case 'settle': {
        const request = this.#open.get(record.id)
        if (request === undefined) return undefined
        this.#open.delete(record.id)
        return { kind: 'settled', request, settle: record }
      }
      case 'refuse':
        return { kind: 'refused', seq, refuse: record }
    }
  }
}
