import type { TokenCount } from '../../core/request.ts'

/**
 * Reads OpenAI's usage object; undefined where it is none. Cached tokens are part of the input and thoughts part of the
 * output, as OpenAI counts. `thoughtsBeside`: the vendor counts thoughts in the total only.
 */
export function tokensOf(usage: unknown, thoughtsBeside: boolean): TokenCount | undefined {
  if (typeof usage !== 'object' || usage === null) return undefined
  const input = countIn(usage, 'prompt_tokens')
  if (input === undefined) return undefined
  const details = 'prompt_tokens_details' in usage ? usage.prompt_tokens_details : undefined
  const cached = (typeof details === 'object' && details !== null ? countIn(details, 'cached_tokens') : undefined) ?? 0
  const beyondInput = Math.max(0, (countIn(usage, 'total_tokens') ?? input) - input)
  const completion = countIn(usage, 'completion_tokens')
  const output = completion === undefined || thoughtsBeside ? Math.max(completion ?? 0, beyondInput) : completion
  return { input, cachedInput: Math.min(cached, input), output }
}

function countIn(value: object, name: string): number | undefined {
  const count = (value as Record<string, unknown>)[name]
  return typeof count === 'number' && Number.isFinite(count) && count >= 0 ? Math.round(count) : undefined
}

/**
 * How many tokens of an answer stand in this JSON text (an event, or a whole answer), by a look at it. Engines send an
 * event for each token; vendors that bundle them are told by the length of the text or by its words. A field's name can
 * only be found where it is one: inside a string its quotes are escaped.
 */
export function outputTokensIn(json: string): number {
  // Engines that renamed the field of thoughts send it under both names, and once more as typed parts.
  const thoughts = Math.max(
    tokensAt(json, '"reasoning_content":'),
    tokensAt(json, '"reasoning":'),
    tokensAt(json, '"text":'),
  )
  return (
    tokensAt(json, '"content":') +
    thoughts +
    tokensAt(json, '"refusal":') +
    tokensAt(json, '"arguments":') +
    tokensAt(json, '"name":')
  )
}

function tokensAt(json: string, field: string): number {
  let tokens = 0
  for (let at = json.indexOf(field); at >= 0; at = json.indexOf(field, at)) {
    at += field.length
    while (json.charCodeAt(at) === space) at++
    if (json.charCodeAt(at) === quote) tokens += tokensOfText(json, at + 1)
  }
  return tokens
}

const space = 0x20
const quote = 0x22
const backslash = 0x5c
/** The longest single tokens of prose and code in today's vocabularies; longer text is more than one. */
const oneTokenCharsMax = 24
/** English prose comes to between four and five; the vendor's own counts correct it where they come. */
const charsPerToken = 5

/** The tokens of the JSON string whose text begins at `start`. Lengths are of the text, not of its escapes. */
function tokensOfText(json: string, start: number): number {
  let words = 0
  let inWord = false
  let chars = 0
  for (let at = start; ; at++) {
    const char = json.charCodeAt(at)
    // No end: what there is of it.
    if (char === quote || Number.isNaN(char)) break
    let blank = char === space
    chars++
    if (char === backslash) {
      const escaped = json[++at]
      blank = escaped === 'n' || escaped === 't' || escaped === 'r'
      if (escaped === 'u') {
        at += 4
        chars += escapedBytes - 1
      }
    }
    if (!blank && !inWord) words++
    inWord = !blank
  }
  if (chars === 0) return 0
  // No tokenizer in use joins words, so that several of them are as many tokens at least.
  if (words <= 1 && chars <= oneTokenCharsMax) return 1
  return Math.max(words, Math.round(chars / charsPerToken))
}

/** What `\u` stands for is three bytes of UTF-8 in most scripts that are escaped; text that is not counts its bytes. */
const escapedBytes = 3
