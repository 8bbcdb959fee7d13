import { type Logger, pino } from 'pino'

export interface Log {
  readonly logger: Logger
  close(): void
}

/** Lines go out together, at the latest after this time or at this length: a write for each would cost as much as its request. */
const flushEveryMs = 1_000
const batchCharsMin = 64 * 1024
/** What a reader that falls behind may leave waiting; what comes then is dropped. */
const waitingCharsMax = 16 * 1024 * 1024

/** Lines of JSON on stdout. A reader that goes away, or falls behind for good, does not stop the service. */
export function openLog(level: string): Log {
  const destination = pino.destination({ dest: 1, maxLength: waitingCharsMax, sync: false })
  destination.on('error', () => {})
  // Gathered here, since the destination measures all it holds with each line it takes: at 64 KiB that made half of
  // all garbage of a small request.
  let lines = ''
  const flush = (): void => {
    if (lines !== '') destination.write(lines)
    lines = ''
  }
  const timer = setInterval(flush, flushEveryMs).unref()
  const write = (line: string): void => {
    lines += line
    if (lines.length >= batchCharsMin) flush()
  }
  return {
    logger: pino({ level, base: null, formatters: { level: (label) => ({ level: label }) } }, { write }),
    close() {
      clearInterval(timer)
      flush()
      try {
        destination.flushSync()
      } catch {
        // The reader has gone.
      }
    },
  }
}
