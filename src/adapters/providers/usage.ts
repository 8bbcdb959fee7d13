import type { TokenCount } from '../../core/request.ts'

/** Reads OpenAI's usage object; undefined where it is none. Cached tokens are part of the input, as OpenAI counts. */
export function tokensOf(usage: unknown): TokenCount | undefined {
  if (typeof usage !== 'object' || usage === null) return undefined
  const input = countIn(usage, 'prompt_tokens')
  if (input === undefined) return undefined
  const details = 'prompt_tokens_details' in usage ? usage.prompt_tokens_details : undefined
  const cached = (typeof details === 'object' && details !== null ? countIn(details, 'cached_tokens') : undefined) ?? 0
  return { input, cachedInput: Math.min(cached, input), output: countIn(usage, 'completion_tokens') ?? 0 }
}

function countIn(value: object, name: string): number | undefined {
  const count = (value as Record<string, unknown>)[name]
  return typeof count === 'number' && Number.isFinite(count) && count >= 0 ? Math.round(count) : undefined
}

/**
 * What one event of a stream adds to the answer, in tokens, by a look at its text. An event of an engine carries one
 * token, of a vendor that bundles them more: where its text is longer than a token gets to be in practice, a token for
 * each four bytes. Never less than one for any text at all; settled by the vendor's own count where it gives one.
 */
export function outputTokensIn(data: string): number {
  let textChars = 0
  for (const field of textFields) {
    for (let at = data.indexOf(field); at >= 0; at = data.indexOf(field, at)) {
      at += field.length
      textChars += stringLength(data, at)
    }
  }
  if (textChars === 0) return 0
  return textChars <= oneTokenCharsMax ? 1 : Math.ceil(textChars / charsPerToken)
}

const oneTokenCharsMax = 24
const charsPerToken = 4
/** Where the text of an answer stands in an event: visible, thought, refused, a tool's arguments, and `completions`' own. */
const textFields = ['"content":', '"reasoning_content":', '"reasoning":', '"refusal":', '"arguments":', '"text":']

/** The length of the JSON string that begins at or after `at` (blanks skipped); 0 where no string does. */
function stringLength(data: string, at: number): number {
  let start = at
  while (data.charCodeAt(start) === 0x20) start++
  if (data.charCodeAt(start) !== 0x22) return 0
  for (let end = data.indexOf('"', start + 1); end >= 0; end = data.indexOf('"', end + 1)) {
    let backslashes = 0
    while (data.charCodeAt(end - 1 - backslashes) === 0x5c) backslashes++
    if (backslashes % 2 === 0) return end - start - 1
  }
  return 0
}
