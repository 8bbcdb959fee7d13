import { seededRandom } from '../../core/random.ts'
import { blockTokens, type TraceRequest } from './trace.ts'

/** A word of four letters and a blank is about one token for any tokenizer of English. */
const wordBytes = 5
const fillerWords = 65_536

/** Random words, made once: prompts of any length are slices of it. */
const filler = makeFiller()

function makeFiller(): Buffer {
  const random = seededRandom(7)
  const bytes = Buffer.alloc(fillerWords * wordBytes, 0x20)
  for (let word = 0; word < fillerWords; word++) {
    for (let letter = 0; letter < wordBytes - 1; letter++)
      bytes[word * wordBytes + letter] = 0x61 + Math.floor(random.next() * 26)
  }
  return bytes
}

/**
 * The body of one request of the trace: as many words as it had input tokens, one at the least. Prompts differ from
 * their first word on, unless the trace says that they begin alike.
 */
export function requestBody(request: TraceRequest, index: number, model: string): Buffer {
  const head = Buffer.from(
    `{"model":${JSON.stringify(model)},"stream":true,"stream_options":{"include_usage":true},"max_tokens":${Math.max(1, request.outputTokens)},"messages":[{"role":"user","content":"`,
  )
  const parts: Uint8Array[] = [head]
  const fill = (from: number, count: number): void => {
    const start = (from % (fillerWords / 2)) * wordBytes
    for (let left = count * wordBytes, at = start; left > 0; at = 0) {
      const piece = filler.subarray(at, Math.min(filler.length, at + left))
      parts.push(piece)
      left -= piece.length
    }
  }
  let left = Math.max(1, request.inputTokens)
  for (const block of request.blocks) {
    if (left <= 0) break
    fill(block * 131, Math.min(blockTokens, left))
    left -= blockTokens
  }
  if (left > 0) {
    parts.push(Buffer.from(`r${index.toString(36)} `))
    fill(index * 7_919, left - 1)
  }
  parts.push(Buffer.from('"}]}'))
  return Buffer.concat(parts)
}
