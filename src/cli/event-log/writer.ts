import { createWriteStream } from 'node:fs'
import type { Action, SchedulerEvent } from '../../core/events.ts'
import type { SchedulerPolicy } from '../../core/scheduler.ts'
import type { EventLog } from '../../gateway/dispatcher.ts'
import { EventEncoder, eventLogFormat, type RunLine, saidOf } from './lines.ts'

/**
 * Writes every event the scheduler saw and what it said, for `spillway replay-decisions`. Holds ids and token counts, no
 * content. Off unless `eventLog` names a file; a file that is there is added to.
 */
export function openEventLog(
  file: string,
  seed: number,
  { attemptsMax, queueLengthMax }: SchedulerPolicy,
  say: (line: string) => void,
): EventLog & { close(): Promise<void> } {
  const out = createWriteStream(file, { flags: 'a', mode: 0o600 })
  // A log with a gap replays nothing: after an error it ends, and serving goes on.
  out.on('error', (error) => say(`warning: the event log ends here: ${error.message}`))
  const write = (line: object) => {
    if (out.writable) out.write(`${JSON.stringify(line)}\n`)
  }
  write({ eventLog: eventLogFormat, seed, policy: { attemptsMax, queueLengthMax } } satisfies RunLine)
  const encoder = new EventEncoder()
  return {
    event(event: SchedulerEvent, nowMs: number) {
      for (const line of encoder.lines(event, nowMs)) write(line)
    },
    said(actions: readonly Action[]) {
      if (actions.length > 0) write({ said: actions.map(saidOf) })
    },
    close: () => new Promise((resolve) => (out.closed ? resolve() : out.once('close', resolve).end())),
  }
}
