/** 1 for the bytes a field name is made of (RFC 9110, token). */
const tokenBytes = new Uint8Array(256)
for (const char of "!#$%&'*+-.^_`|~") tokenBytes[char.charCodeAt(0)] = 1
tokenBytes.fill(1, 0x30, 0x3a)
tokenBytes.fill(1, 0x41, 0x5b)
tokenBytes.fill(1, 0x61, 0x7b)

/** 1 for the bytes a field value is made of: blanks, tabs, visible ASCII and what is beyond ASCII. */
const valueBytes = new Uint8Array(256).fill(1)
valueBytes.fill(0, 0, 0x20)
valueBytes[0x09] = 1
valueBytes[0x7f] = 0

const colon = 0x3a

/**
 * The header lines of a head (latin1, without its last blank line) from `start` on, flat: name, value, name, value …
 * Names as they were sent, values without the blanks around them. Undefined where a line is none: folded, ended by
 * anything but CRLF, without a name or a colon, with a blank before the colon, with a control character in it.
 */
export function fieldsOf(head: string, start: number): string[] | undefined {
  const fields: string[] = []
  for (let at = start; at < head.length; ) {
    const nameStart = at
    while (tokenBytes[head.charCodeAt(at)] === 1) at++
    if (at === nameStart || head.charCodeAt(at) !== colon) return undefined
    const name = head.slice(nameStart, at)
    let valueStart = at + 1
    const lineEnd = head.indexOf('\r\n', valueStart)
    let valueEnd = lineEnd < 0 ? head.length : lineEnd
    at = valueEnd + 2
    while (valueStart < valueEnd && isBlank(head.charCodeAt(valueStart))) valueStart++
    while (valueEnd > valueStart && isBlank(head.charCodeAt(valueEnd - 1))) valueEnd--
    for (let byte = valueStart; byte < valueEnd; byte++) if (valueBytes[head.charCodeAt(byte)] !== 1) return undefined
    fields.push(name, head.slice(valueStart, valueEnd))
  }
  return fields
}

/** Whether a value can be sent as it is: latin1 without control characters, so that it stays within its line. */
export function isFieldValue(value: string): boolean {
  for (let at = 0; at < value.length; at++) if (valueBytes[value.charCodeAt(at)] !== 1) return false
  return true
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09
}
