import type { Logger } from 'pino'
import type { EndpointHealth } from '../core/events.ts'

/** What a running Spillway has to say, to the person who started it and to the log. */
export interface HostLog {
  /** A line that begins with `warning: ` is logged as one. */
  say(line: string): void
  /** Of endpoints that were reached before: left out after failures, and taken back. */
  endpointState(endpoint: string, state: EndpointHealth): void
  /** A fault of our own in one request. */
  bug(requestId: string, thrown: unknown): void
}

/** Errors whose message is made by the engine from our own code; others may quote what they were working on. */
const messagesToShow = new Set(['TypeError', 'ReferenceError', 'RangeError'])

export function openHostLog(tell: (line: string) => void, log: Logger | undefined): HostLog {
  const leftOut = new Set<string>()
  const say = (line: string): void => {
    tell(line)
    const [, warning] = /^warning: ([\s\S]*)$/.exec(line) ?? []
    if (warning === undefined) log?.info(line)
    else log?.warn(warning)
  }
  return {
    say,
    endpointState(endpoint, state) {
      if (state === 'ejected' && !leftOut.has(endpoint)) {
        leftOut.add(endpoint)
        say(`warning: ${endpoint} is left out for a while: it failed several times in a row`)
      } else if (state === 'open' && leftOut.delete(endpoint)) say(`${endpoint} serves again`)
    },
    bug(requestId, thrown) {
      const error = thrown instanceof Error ? thrown : new Error()
      const message = messagesToShow.has(error.name) ? `: ${error.message}` : ''
      const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
      tell(
        `a fault of Spillway's own in the request ${requestId}, please report it: ${error.name}${message}\n${frames.join('\n')}`,
      )
      log?.error({ request_id: requestId, error: error.name, frames }, 'a fault of Spillway itself')
    },
  }
}
