import { STATUS_CODES } from 'node:http'
import { isFieldValue } from '../../adapters/http1/fields.ts'

/** What each answer's head says beside its own headers. */
export interface AnswerEnding {
  readonly keepAlive: boolean
  /** The body comes in chunks; else it has a length, or ends with the connection. */
  readonly chunked: boolean
  /** In HTTP's format. */
  readonly date: string
}

/** An idle connection is kept for so long; clients are told. */
export const keepAliveMs = 75_000

const staying = `connection: keep-alive\r\nkeep-alive: timeout=${keepAliveMs / 1_000}\r\n`

/** The head of an answer, ready to send (latin1). `headers` is flat: name, value, name, value … */
export function answerHead(status: number, headers: readonly string[], ending: AnswerEnding): string {
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${sendable(headers[i + 1] as string)}\r\n`
  head += `date: ${ending.date}\r\n${ending.keepAlive ? staying : 'connection: close\r\n'}`
  return ending.chunked ? `${head}transfer-encoding: chunked\r\n\r\n` : `${head}\r\n`
}

/** Names that an operator chose may hold any character: those that a header cannot carry are shown as `?`. */
function sendable(value: string): string {
  return isFieldValue(value) ? value : value.replace(/[^\t\x20-\x7e]/gu, '?')
}
