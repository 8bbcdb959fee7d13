import type { Writable } from 'node:stream'

/** Up to this long, the parts of a message are put together and written at once; of longer ones a copy would cost more. */
const joinedBytesMax = 16 * 1024

/** Writes text (latin1), bytes and text as one. Gives false where more is waiting than the stream wants to hold. */
export function writeJoined(stream: Writable, before: string, bytes: Uint8Array, after: string): boolean {
  const length = before.length + bytes.length + after.length
  if (length <= joinedBytesMax) {
    const joined = Buffer.allocUnsafe(length)
    joined.write(before, 0, 'latin1')
    joined.set(bytes, before.length)
    if (after !== '') joined.write(after, before.length + bytes.length, 'latin1')
    return stream.write(joined)
  }
  stream.cork()
  stream.write(before, 'latin1')
  let goOn = stream.write(bytes)
  if (after !== '') goOn = stream.write(after, 'latin1')
  stream.uncork()
  return goOn
}
