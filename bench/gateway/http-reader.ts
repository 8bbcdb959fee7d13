const headEndMark = Buffer.from('\r\n\r\n')
const lastChunkMark = Buffer.from('\r\n0\r\n\r\n')

/**
 * Where the HTTP message at the beginning of `bytes` ends, or -1 while it is not all there. Knows the framing that
 * well-behaved peers on loopback use: content-length, chunked without trailers, or no body.
 */
export function bodyEnd(bytes: Buffer): number {
  const headEnd = bytes.indexOf(headEndMark)
  if (headEnd < 0) return -1
  const head = bytes.toString('latin1', 0, headEnd)
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
  if (length !== undefined) {
    const end = headEnd + headEndMark.length + Number(length)
    return bytes.length >= end ? end : -1
  }
  if (!/\r\ntransfer-encoding: *chunked/i.test(head)) return headEnd + headEndMark.length
  // From the head's own line end on, so that an empty body is found too.
  const last = bytes.indexOf(lastChunkMark, headEnd + 2)
  return last < 0 ? -1 : last + lastChunkMark.length
}

/** The status of an answer whose first bytes these are. */
export function statusOf(bytes: Buffer): number {
  return Number(bytes.toString('latin1', 9, 12))
}
