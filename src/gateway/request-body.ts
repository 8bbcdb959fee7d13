import { isUtf8 } from 'node:buffer'
import type { Operation } from '../adapters/providers/provider.ts'
import {
  type JsonMember,
  JsonProblem,
  type JsonScan,
  readJsonString,
  requestJsonLimits,
  scanJson,
} from '../core/json-scan.ts'
import { SpillwayError } from '../core/spillway-error.ts'

/** What the gateway needs to know of a body. The body itself stays bytes. */
export interface BodyFacts {
  readonly body: Buffer
  readonly model: string
  readonly stream: boolean
  /** The caller asked for the usage chunk itself. */
  readonly includesUsage: boolean
  /** The caller's own limit for one answer, tokens; undefined where none is set. */
  readonly outputTokensMax: number | undefined
  /** Answers wanted side by side (`n`). */
  readonly choices: number
  /** More tokens than this cannot come of this body; see `inputTokensMax`. */
  readonly inputTokensMax: number
  /** Equal for requests that begin with the same prompt, or that name the same `prompt_cache_key`. */
  readonly affinity: string
  readonly modelMember: JsonMember
  readonly streamOptions: JsonMember | undefined
  readonly closeAt: number
}

/**
 * Tokens that a chat template puts around what the caller wrote (roles, separators, a default system message). The
 * largest known, gpt-oss's harmony preamble, is near 80; the JSON around each message is longer than its separators.
 */
const templateTokensMax = 256

/**
 * Tokens of one image, audio clip or file part, which do not follow from the bytes of the body (a link is short). The
 * dearest documented image is 36,835 tokens (OpenAI's vision guide, gpt-4o-mini, high detail).
 */
const mediaPartTokensMax = 40_000

/** How much of the first messages tells prompts apart. Longer ones that agree so far are taken for the same prefix. */
const affinityBytesMax = 2_048

/** Reads the facts or throws `SpillwayError` saying what is wrong with the body. */
export function readBody(body: Buffer, operation: Operation): BodyFacts {
  if (body.length === 0) throw new SpillwayError('invalid_json', 'the body is empty; send a JSON object')
  const scan = scanJson(body, requestJsonLimits)
  if (scan instanceof JsonProblem) {
    throw new SpillwayError('invalid_json', `the body is not taken: ${scan.message} (byte ${scan.at})`)
  }
  if (!scan.isObject) throw new SpillwayError('invalid_json', 'the body must be a JSON object')
  if (!isUtf8(body)) throw new SpillwayError('invalid_json', 'the body is not valid UTF-8')
  const fields = new Fields(body, scan)
  const modelMember = fields.member('model')
  const model = fields.string('model')
  if (modelMember === undefined || model === undefined || model === '') {
    throw new SpillwayError('invalid_request', 'the field model is missing; GET /v1/models lists what can be asked', {
      param: 'model',
    })
  }
  const promptField = promptFields[operation]
  const prompt = fields.member(promptField)
  if (prompt === undefined) {
    throw new SpillwayError('invalid_request', `the field ${promptField} is missing`, { param: promptField })
  }
  if (operation === 'chat/completions' && (body[prompt.valueStart] !== 0x5b || prompt.elements === 0)) {
    throw new SpillwayError('invalid_request', 'messages must be a list with at least one message', {
      param: 'messages',
    })
  }
  const stream = operation !== 'embeddings' && fields.boolean('stream')
  const streamOptions = fields.member('stream_options')
  return {
    body,
    model,
    stream,
    includesUsage: streamOptions !== undefined && asksForUsage(body, streamOptions),
    outputTokensMax:
      operation === 'embeddings' ? 0 : (fields.count('max_completion_tokens') ?? fields.count('max_tokens')),
    choices: Math.max(1, fields.count('n') ?? 1),
    inputTokensMax: inputTokensMax(body.length, scan.mediaParts),
    affinity: affinityOf(body, prompt, fields.string('prompt_cache_key')),
    modelMember,
    streamOptions,
    closeAt: scan.closeAt,
  }
}

const promptFields = { 'chat/completions': 'messages', completions: 'prompt', embeddings: 'input' } as const

/**
 * An upper bound of the input tokens. Every tokenizer in use splits bytes: a token stands for one byte of text or
 * more (byte-level BPE, or SentencePiece with byte fallback), and the JSON text of a prompt is never shorter than the
 * prompt. What the bytes do not show (template, media) is added at its own bound.
 */
export function inputTokensMax(bodyBytes: number, mediaParts: number): number {
  return bodyBytes + templateTokensMax + mediaParts * mediaPartTokensMax
}

/**
 * The body for one vendor: the caller's bytes with the model's name replaced where it stands, and the usage chunk
 * asked for where the caller streams without it.
 */
export function bodyFor(facts: BodyFacts, upstreamModel: string): Uint8Array[] {
  const { body, modelMember, streamOptions, closeAt } = facts
  const edits: { start: number; end: number; text: string }[] = [
    { start: modelMember.valueStart, end: modelMember.valueEnd, text: JSON.stringify(upstreamModel) },
  ]
  if (facts.stream && !facts.includesUsage) {
    if (streamOptions === undefined) {
      edits.push({ start: closeAt, end: closeAt, text: ',"stream_options":{"include_usage":true}' })
    } else {
      const options = JSON.parse(body.toString('utf8', streamOptions.valueStart, streamOptions.valueEnd)) as
        | object
        | null
      const text = JSON.stringify({ ...options, include_usage: true })
      edits.push({ start: streamOptions.valueStart, end: streamOptions.valueEnd, text })
    }
    if ((edits[1] as { start: number }).start < modelMember.valueStart) edits.reverse()
  }
  const pieces: Uint8Array[] = []
  let at = 0
  for (const { start, end, text } of edits) {
    pieces.push(body.subarray(at, start), Buffer.from(text))
    at = end
  }
  pieces.push(body.subarray(at))
  return pieces
}

function asksForUsage(body: Buffer, member: JsonMember): boolean {
  const text = body.toString('utf8', member.valueStart, member.valueEnd)
  const options: unknown = JSON.parse(text)
  if (options === null) return false
  if (typeof options !== 'object' || Array.isArray(options)) {
    throw new SpillwayError('invalid_request', 'stream_options must be an object', { param: 'stream_options' })
  }
  return 'include_usage' in options && options.include_usage === true
}

/** FNV-1a (Fowler, Noll, Vo; 32 bit) over the beginning of the prompt, or the caller's own cache key. */
function affinityOf(body: Buffer, prompt: JsonMember, cacheKey: string | undefined): string {
  if (cacheKey !== undefined && cacheKey !== '') return `key:${cacheKey.slice(0, 128)}`
  const end = Math.min(prompt.valueEnd, prompt.valueStart + affinityBytesMax)
  let hash = 0x811c9dc5
  for (let at = prompt.valueStart; at < end; at++) hash = Math.imul(hash ^ (body[at] as number), 0x01000193)
  return (hash >>> 0).toString(36)
}

/** Reads single top-level fields, checking their types. */
class Fields {
  readonly #body: Buffer
  readonly #scan: JsonScan

  constructor(body: Buffer, scan: JsonScan) {
    this.#body = body
    this.#scan = scan
  }

  /** Absent and null are the same. */
  member(name: string): JsonMember | undefined {
    for (const member of this.#scan.members) {
      if (member.key === name) return this.#body[member.valueStart] === 0x6e ? undefined : member
    }
    return undefined
  }

  string(name: string): string | undefined {
    const member = this.member(name)
    if (member === undefined) return undefined
    if (this.#body[member.valueStart] !== 0x22) throw this.#wrong(name, 'a string')
    return readJsonString(this.#body, member.valueStart, member.valueEnd)
  }

  boolean(name: string): boolean {
    const member = this.member(name)
    if (member === undefined) return false
    const first = this.#body[member.valueStart]
    if (first !== 0x74 && first !== 0x66) throw this.#wrong(name, 'true or false')
    return first === 0x74
  }

  /** A whole number from 0 to 2^31. */
  count(name: string): number | undefined {
    const member = this.member(name)
    if (member === undefined) return undefined
    const value = Number(this.#body.toString('latin1', member.valueStart, member.valueEnd))
    if (!Number.isInteger(value) || value < 0 || value > 0x7fffffff) throw this.#wrong(name, 'a whole number')
    return value
  }

  #wrong(name: string, expected: string): SpillwayError {
    return new SpillwayError('invalid_request', `the field ${name} must be ${expected}`, { param: name })
  }
}
