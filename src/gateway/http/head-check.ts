/**
 * One meaning for every head (P11, P12, P15, P16): what two readers could understand differently is refused before
 * anything is decided. The head is well formed already; this is about what it says.
 */

export type HeadProblem = {
  readonly status: 400 | 415
  readonly code: 'invalid_request' | 'unsupported_content_encoding'
  readonly message: string
}

/** Headers that decide who is asking, where the message ends or what it is: none may stand twice. */
const single = new Set([
  'host',
  'authorization',
  'api-key',
  'x-api-key',
  'x-goog-api-key',
  'content-type',
  'content-length',
  'content-encoding',
  'transfer-encoding',
  'idempotency-key',
  'expect',
])

export function checkHead(httpVersion: string, url: string, rawHeaders: readonly string[]): HeadProblem | undefined {
  if (httpVersion !== '1.1' && httpVersion !== '1.0')
    return invalid(`HTTP/${httpVersion} is not spoken here; use HTTP/1.1`)
  if (!isPlainTarget(url)) return invalid('the request target must be an absolute path in plain ASCII')
  let seen = 0
  let length = false
  let chunked = false
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    // Most names are longer or shorter than any that matter: a look at the length saves lowering them all.
    if (name.length < 4 || name.length > 17) continue
    const lower = name.toLowerCase()
    if (!single.has(lower)) continue
    const bit = singleBit(lower)
    if ((seen & bit) !== 0) return invalid(`the header ${lower} stands more than once`)
    seen |= bit
    const value = rawHeaders[i + 1] as string
    if (lower === 'host') {
      if (!/^[\w.:[\]-]*$/.test(value)) return invalid('host must be one name or address, with a port or without')
    } else if (lower === 'content-length') {
      length = true
      if (!/^\d{1,15}$/.test(value)) return invalid('content-length must be a whole number')
    } else if (lower === 'transfer-encoding') {
      chunked = true
      if (value.toLowerCase() !== 'chunked') return invalid('the only transfer-encoding taken is chunked')
    } else if (lower === 'content-encoding' && value.toLowerCase() !== 'identity') {
      return {
        status: 415,
        code: 'unsupported_content_encoding',
        message: 'compressed requests are not taken; send the body without content-encoding',
      }
    }
  }
  if (length && chunked) return invalid('content-length and transfer-encoding must not stand together')
  if (httpVersion === '1.1' && (seen & singleBit('host')) === 0) return invalid('the header host is missing')
  if (chunked && httpVersion === '1.0') return invalid('HTTP/1.0 has no transfer-encoding')
  return undefined
}

function invalid(message: string): HeadProblem {
  return { status: 400, code: 'invalid_request', message }
}

const bits = new Map([...single].map((name, index) => [name, 1 << index]))

function singleBit(name: string): number {
  return bits.get(name) ?? 0
}

/** A path that means the same to every reader: `/` first, printable ASCII, no fragment, no dot segments, no escaped dots or backslashes. */
function isPlainTarget(url: string): boolean {
  if (url.charCodeAt(0) !== 0x2f) return false
  for (let i = 0; i < url.length; i++) {
    const code = url.charCodeAt(i)
    if (code <= 0x20 || code >= 0x7f || code === 0x23 || code === 0x5c) return false
  }
  const query = url.indexOf('?')
  const path = query < 0 ? url : url.slice(0, query)
  return !path.includes('//') && !path.includes('/.') && !/%2e|%5c|%00/i.test(path)
}
