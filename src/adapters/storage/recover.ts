import type { Clock } from '../../core/clock.ts'
import type { FileJournal } from './journal.ts'
import { attemptCostNanoUsd, type JournalRecord, markWindowTokens } from './journal-record.ts'
import type { OpenRequest } from './open-requests.ts'

const noTokens = { input: 0, cachedInput: 0, output: 0 }

/** Ends what was open when the process ended: each such request in exactly one settlement. */
export async function settleLeftOver(journal: FileJournal, open: readonly OpenRequest[], clock: Clock): Promise<void> {
  const records = open.flatMap((request) => recoveredEnd(request, clock.wallMs()))
  if (records.length === 0) return
  await new Promise<void>((resolve, reject) =>
    journal.append(records, (error) => (error === undefined ? resolve() : reject(error))),
  )
}

/**
 * How a request ends that was cut by a crash. A stream was handed over up to its last mark at the most, or the first
 * window where none was written yet: so much is charged. A whole answer is handed over after its settlement only, so
 * nothing of it was; what the vendor may bill for it is noted with the attempt.
 */
export function recoveredEnd({ admit, attempts, marked }: OpenRequest, wallMs: number): JournalRecord[] {
  const last = attempts.at(-1)
  const running = last !== undefined && last.outcome === undefined ? last.record : undefined
  const delivered = running !== undefined && admit.stream
  const input = { ...noTokens, input: admit.inputTokens }
  const tokens = delivered ? { ...input, output: Math.max(marked, markWindowTokens) } : noTokens
  const records: JournalRecord[] = []
  if (running !== undefined && !delivered) {
    const { id, n } = running
    records.push({ kind: 'outcome', id, n, wallMs, failure: 'cancelled', status: null, tokens: input })
  }
  records.push({
    kind: 'settle',
    id: admit.id,
    n: last?.record.n ?? 0,
    wallMs,
    state: delivered ? 'partial' : 'failed',
    source: 'recovered',
    tokens,
    nanoUsd: delivered && running.prices !== null ? attemptCostNanoUsd(tokens, running.prices) : 0,
    status: delivered ? 200 : 503,
    code: 'recovered',
    firstByteMs: null,
    durationMs: Math.max(0, wallMs - admit.wallMs),
  })
  return records
}
