/** What a simulated model makes of a request body. */
export interface Prompt {
  readonly model: string
  readonly stream: boolean
  readonly includeUsage: boolean
  readonly continuousUsage: boolean
  /** Words: a rule that anybody can check, and by which a recorded prompt length can be met exactly. */
  readonly tokens: number
  readonly outputTokens: number | undefined
  /** Tells prompts apart by how they begin. */
  readonly prefix: string
  readonly tool: string | undefined
  readonly inputs: number
}

export class BadRequest extends Error {}

const prefixChars = 1_024

type Json = Record<string, unknown>

/** Throws `BadRequest` where the body is not what the operation takes. */
export function readPrompt(text: string, operation: string): Prompt {
  let body: Json
  try {
    body = JSON.parse(text) as Json
  } catch {
    throw new BadRequest('the body is not valid JSON')
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new BadRequest('the body must be an object')
  const texts = textsOf(body, operation)
  const options = (body['stream_options'] ?? {}) as Json
  const maximum = body['max_completion_tokens'] ?? body['max_tokens']
  if (maximum !== undefined && maximum !== null && !(Number.isInteger(maximum) && (maximum as number) >= 1))
    throw new BadRequest('max_tokens must be at least 1')
  return {
    model: typeof body['model'] === 'string' ? body['model'] : '',
    stream: body['stream'] === true,
    includeUsage: options['include_usage'] === true,
    continuousUsage: options['continuous_usage_stats'] === true,
    tokens: texts.reduce((sum, one) => sum + words(one), 0),
    outputTokens: typeof maximum === 'number' ? maximum : undefined,
    prefix: texts.join('\n').slice(0, prefixChars),
    tool: toolOf(body),
    inputs: texts.length,
  }
}

function textsOf(body: Json, operation: string): string[] {
  if (operation === 'chat/completions') {
    const { messages } = body
    if (!Array.isArray(messages) || messages.length === 0)
      throw new BadRequest('messages must be a list with at least one message')
    return messages.map((message: Json) => contentText(message['content']))
  }
  const field = operation === 'embeddings' ? 'input' : 'prompt'
  const value = body[field]
  if (typeof value === 'string') return [value]
  if (Array.isArray(value)) return value.map((one) => (typeof one === 'string' ? one : JSON.stringify(one)))
  throw new BadRequest(`${field} is missing`)
}

function contentText(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content.map((part: Json) => (typeof part['text'] === 'string' ? part['text'] : '')).join(' ')
}

/** Blank-separated words, counted without cutting the text into pieces. */
function words(text: string): number {
  let count = 0
  let inWord = false
  for (let i = 0; i < text.length; i++) {
    const blank = text.charCodeAt(i) <= 0x20
    if (!blank && !inWord) count++
    inWord = !blank
  }
  return count
}

/** The tool that the caller wants to be called for certain. */
function toolOf(body: Json): string | undefined {
  const { tools, tool_choice: choice } = body
  if (!Array.isArray(tools) || tools.length === 0) return undefined
  const nameOf = (tool: unknown) => ((tool as Json)?.['function'] as Json | undefined)?.['name']
  const wanted = choice === 'required' ? nameOf(tools[0]) : typeof choice === 'object' ? nameOf(choice) : undefined
  return typeof wanted === 'string' ? wanted : undefined
}
