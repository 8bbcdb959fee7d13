import { createWriteStream } from 'node:fs'
import type { SchedulerEvent } from '../core/events.ts'
import type { EventLog } from '../gateway/dispatcher.ts'

/**
 * Writes every event the scheduler saw, one JSON line each, the seed first: fed to the same core it gives the same
 * actions. Holds ids and token counts, no content. Off unless `eventLog` names a file.
 */
export function openEventLog(
  file: string,
  seed: number,
  say: (line: string) => void,
): EventLog & { close(): Promise<void> } {
  const out = createWriteStream(file, { flags: 'a', mode: 0o600 })
  // A log with a gap replays nothing: after an error it ends, and serving goes on.
  out.on('error', (error) => say(`warning: the event log ends here: ${error.message}`))
  out.write(`${JSON.stringify({ seed })}\n`)
  return {
    event(event: SchedulerEvent, nowMs: number) {
      if (out.writable) out.write(`${JSON.stringify({ nowMs, event }, plainArrays)}\n`)
    },
    close: () => new Promise((resolve) => (out.closed ? resolve() : out.once('close', resolve).end())),
  }
}

/** Typed arrays as lists, so that a reader in any language understands them. */
function plainArrays(_key: string, value: unknown): unknown {
  return value instanceof Uint32Array || value instanceof Int32Array ? [...value] : value
}
