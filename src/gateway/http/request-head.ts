import type { Framing } from '../../adapters/http1/body-reader.ts'
import { fieldsOf } from '../../adapters/http1/fields.ts'

/** A request head as it was sent: well formed, though not yet found to have one meaning only. */
export interface RequestHead {
  readonly method: string
  readonly target: string
  /** `1.1` and the like. */
  readonly version: string
  /** Flat: name, value, name, value … */
  readonly fields: readonly string[]
}

const requestLine = /^([!#$%&'*+.^_`|~\w-]{1,32}) ([!-~\x80-\xff]+) HTTP\/(\d\.\d)$/

/** Undefined where it is none. */
export function requestHeadOf(text: string): RequestHead | undefined {
  const lineEnd = text.indexOf('\r\n')
  const line = requestLine.exec(lineEnd < 0 ? text : text.slice(0, lineEnd))
  if (line === null) return undefined
  const fields = fieldsOf(text, lineEnd < 0 ? text.length : lineEnd + 2)
  if (fields === undefined) return undefined
  const [, method = '', target = '', version = ''] = line
  return { method, target, version, fields }
}

/** A first look at what may be the beginning of a head: another protocol is not waited for. */
export function couldBeRequest(beginning: Buffer | undefined): boolean {
  return (
    beginning === undefined || beginning.length === 0 || /^[A-Za-z]+(?: |$)/.test(beginning.toString('latin1', 0, 32))
  )
}

/** The value of the first field of a name (lower case), or undefined. */
export function fieldIn(fields: readonly string[], name: string): string | undefined {
  for (let i = 0; i < fields.length; i += 2) {
    const candidate = fields[i] as string
    if (candidate.length === name.length && candidate.toLowerCase() === name) return fields[i + 1]
  }
  return undefined
}

/** How the body of a request ends whose head was found good. */
export function framingOf(fields: readonly string[]): Framing {
  if (fieldIn(fields, 'transfer-encoding') !== undefined) return 'chunked'
  return Number(fieldIn(fields, 'content-length') ?? 0)
}

/** Whether the client would go on with another request on the same connection. */
export function keepsAlive({ version, fields }: RequestHead): boolean {
  const options = fieldIn(fields, 'connection')?.toLowerCase() ?? ''
  return version === '1.0' ? /\bkeep-alive\b/.test(options) : !/\bclose\b/.test(options)
}
