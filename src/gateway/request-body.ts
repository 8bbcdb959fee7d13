import { isUtf8 } from 'node:buffer'
import type { Operation } from '../adapters/providers/provider.ts'
import type { BrownoutFeature } from '../core/brownout.ts'
import {
  type JsonMember,
  JsonProblem,
  type JsonScan,
  readJsonString,
  requestJsonLimits,
  scanJson,
} from '../core/json-scan.ts'
import { type ServiceTier, serviceTiers } from '../core/service-class.ts'
import { SpillwayError } from '../core/spillway-error.ts'

/** What the gateway needs to know of a body. The body itself stays bytes. */
export interface BodyFacts {
  /** Empty from when an answer begins: no other try will need it, and streams are long. */
  body: Buffer
  readonly bodyBytes: number
  readonly model: string
  readonly stream: boolean
  /** The caller asked for the usage chunk itself. */
  readonly includesUsage: boolean
  /** The caller's own limit for one answer, tokens; undefined where none is set. */
  readonly outputTokensMax: number | undefined
  /** Answers that are made, and billed: `n` or `best_of` for each prompt. */
  readonly choices: number
  /** More tokens than this cannot come of this body; see `inputTokensMax`. */
  readonly inputTokensMax: number
  /** Equal for requests that begin with the same prompt, or that name the same `prompt_cache_key`. */
  readonly affinity: string
  /** As asked for; what is no tier of Spillway's asks for none. */
  readonly tier: ServiceTier
  readonly tierMember: JsonMember | undefined
  readonly modelMember: JsonMember
  /** Asks for the usage chunk where the caller streams without it. */
  readonly usageEdit: Edit | undefined
}

/** Bytes from `start` to `end` to be replaced by `text`. */
interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
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

/** Of the longest tier, with its quotes. */
const tierBytesMax = 10

/** A model's name in a configuration has at most 128 characters, each at most 6 bytes as an escape. */
const modelBytesMax = 1_024

/** Reads the facts or throws `SpillwayError` saying what is wrong with the body. */
export function readBody(body: Buffer, operation: Operation): BodyFacts {
  const fields = readFields(body)
  const modelMember = fields.member('model')
  const model = fields.model()
  const promptField = promptFields[operation]
  const prompt = fields.member(promptField)
  const tierMember = fields.member('service_tier')
  if (modelMember === undefined || prompt === undefined) throw missing(promptField)
  if (operation === 'chat/completions' && (body[prompt.valueStart] !== 0x5b || prompt.elements === 0)) {
    throw new SpillwayError('invalid_request', 'messages must be a list with at least one message', {
      param: 'messages',
    })
  }
  const stream = operation !== 'embeddings' && fields.boolean('stream')
  const usage = usageOption(body, fields.scan)
  return {
    body,
    bodyBytes: body.length,
    model,
    stream,
    includesUsage: usage === 'asked',
    outputTokensMax: outputTokensMax(fields, operation),
    choices: choicesOf(fields, operation, prompt),
    inputTokensMax: inputTokensMax(body.length, fields.scan.mediaParts),
    affinity: affinityOf(body, prompt, fields.member('prompt_cache_key')),
    tier: tierOf(body, tierMember),
    tierMember,
    modelMember,
    usageEdit: stream && usage !== 'asked' ? usage : undefined,
  }
}

/** Reads what `POST /v1/explain` needs: a request as it would be sent, or only the name of its model. */
export function readQuestion(body: Buffer): { readonly model: string; readonly affinity: string | undefined } {
  const fields = readFields(body)
  const prompt = fields.member('messages') ?? fields.member('prompt')
  return {
    model: fields.model(),
    affinity: prompt && affinityOf(body, prompt, fields.member('prompt_cache_key')),
  }
}

function readFields(body: Buffer): Fields {
  if (body.length === 0) throw new SpillwayError('invalid_json', 'the body is empty; send a JSON object')
  const scan = scanJson(body, requestJsonLimits)
  if (scan instanceof JsonProblem) {
    throw new SpillwayError('invalid_json', `the body is not taken: ${scan.message} (byte ${scan.at})`)
  }
  if (!scan.isObject) throw new SpillwayError('invalid_json', 'the body must be a JSON object')
  if (!isUtf8(body)) throw new SpillwayError('invalid_json', 'the body is not valid UTF-8')
  return new Fields(body, scan)
}

function missing(field: string): SpillwayError {
  return new SpillwayError('invalid_request', `the field ${field} is missing`, { param: field })
}

/** Vendors differ in which of the two names counts: the larger is the bound. `completions` knows only the older. */
function outputTokensMax(fields: Fields, operation: Operation): number | undefined {
  if (operation === 'embeddings') return 0
  const older = fields.count('max_tokens')
  if (operation === 'completions') return older
  const newer = fields.count('max_completion_tokens')
  return older === undefined || newer === undefined ? (older ?? newer) : Math.max(older, newer)
}

function choicesOf(fields: Fields, operation: Operation, prompt: JsonMember): number {
  const choices = Math.max(1, fields.count('n') ?? 1)
  if (operation !== 'completions') return choices
  return Math.max(choices, fields.count('best_of') ?? 1) * fields.prompts(prompt)
}

const promptFields = { 'chat/completions': 'messages', completions: 'prompt', embeddings: 'input' } as const

/**
 * An upper bound of the input tokens. In every tokenizer in use a token stands for one byte of text or more (byte-level
 * BPE, SentencePiece with byte fallback, WordPiece), and the JSON text of a prompt is never shorter than the prompt. The
 * few tokens that a template puts around each message or tool, and the white space with which some indent tools, are
 * fewer than the names, quotes and commas that stand there in the body. What the bytes do not show (the template's own
 * text, media) is added at its own bound.
 */
export function inputTokensMax(bodyBytes: number, mediaParts: number): number {
  return bodyBytes + templateTokensMax + mediaParts * mediaPartTokensMax
}

/** Told by the value's own bytes: a name has no need of escapes. `auto` is what no word at all says. */
function tierOf(body: Buffer, member: JsonMember | undefined): ServiceTier {
  if (member === undefined || member.valueEnd - member.valueStart > tierBytesMax) return 'default'
  const text = body.toString('latin1', member.valueStart, member.valueEnd)
  return serviceTiers.find((tier) => text === `"${tier}"`) ?? 'default'
}

/**
 * The body for one vendor: the caller's bytes with the model's name replaced where it stands, the usage chunk asked for
 * where the caller streams without it, and no tier that the caller does not have here, nor one that no vendor knows.
 */
export function bodyFor(facts: BodyFacts, upstreamModel: string, tier: ServiceTier): Uint8Array[] {
  const { body, modelMember, usageEdit, tierMember } = facts
  const edits: Edit[] = [
    { start: modelMember.valueStart, end: modelMember.valueEnd, text: JSON.stringify(upstreamModel) },
  ]
  if (usageEdit !== undefined) edits.push(usageEdit)
  if (tierMember !== undefined && (tier !== facts.tier || tier === 'batch'))
    edits.push({ start: tierMember.valueStart, end: tierMember.valueEnd, text: '"default"' })
  return edited(body, edits)
}

/** In pieces: the bytes with each edit made. */
function edited(body: Buffer, edits: Edit[]): Uint8Array[] {
  if (edits.length > 1) edits.sort((a, b) => a.start - b.start)
  const pieces: Uint8Array[] = []
  let at = 0
  for (const { start, end, text } of edits) {
    pieces.push(body.subarray(at, start), Buffer.from(text))
    at = end
  }
  pieces.push(body.subarray(at))
  return pieces
}

/** What is taken out of a request. */
export interface BodyCut {
  /** Asked for in place of the caller's own; may be the same. */
  readonly model: string
  /** One answer is no longer, tokens. */
  readonly outputTokensMax: number | undefined
  readonly without: readonly BrownoutFeature[]
}

/** The members of a request that make up a feature. `null` is what vendors take for a member that is not there. */
const featureMembers: Readonly<Record<BrownoutFeature, readonly string[]>> = {
  tools: ['tools', 'tool_choice', 'parallel_tool_calls', 'functions', 'function_call'],
  'web-search': ['web_search_options'],
  logprobs: ['logprobs', 'top_logprobs'],
  choices: ['n', 'best_of'],
}

/** The request with that cut out, and in words what was: nothing of what the caller had not asked for anyway. */
export function cutBody(
  facts: BodyFacts,
  operation: Operation,
  { model, outputTokensMax: cap, without }: BodyCut,
): { readonly facts: BodyFacts; readonly words: readonly (readonly [what: string, value: string])[] } {
  const fields = readFields(facts.body)
  const words: [string, string][] = []
  const edits: Edit[] = []
  const replace = ({ valueStart: start, valueEnd: end }: JsonMember, text: string) => edits.push({ start, end, text })
  if (model !== facts.model) {
    words.push(['model', model])
    replace(facts.modelMember, JSON.stringify(model))
  }
  if (cap !== undefined && cap < (facts.outputTokensMax ?? Number.POSITIVE_INFINITY)) {
    words.push(['output-tokens-max', String(cap)])
    const limits = ['max_tokens', 'max_completion_tokens'].flatMap((name) => fields.member(name) ?? [])
    for (const member of limits) replace(member, String(cap))
    const name = operation === 'completions' ? 'max_tokens' : 'max_completion_tokens'
    const { closeAt } = fields.scan
    // An unset one may stand there as null, which a second of the name would contradict.
    const unset = fields.scan.members.find(({ key }) => key === name)
    if (limits.length === 0 && unset !== undefined) replace(unset, String(cap))
    else if (limits.length === 0) edits.push({ start: closeAt, end: closeAt, text: `,"${name}":${cap}` })
  }
  for (const feature of without) {
    const members = featureMembers[feature].flatMap((name) => fields.member(name) ?? [])
    if (members.length === 0) continue
    words.push(['without', feature])
    for (const member of members) replace(member, 'null')
  }
  if (edits.length === 0) return { facts, words }
  return { facts: readBody(Buffer.concat(edited(facts.body, edits)), operation), words }
}

/** Whether the caller asks for the usage chunk; if not, the edit that does. Throws where that cannot be told. */
function usageOption(body: Buffer, outer: JsonScan): 'asked' | Edit {
  const options = outer.members.find(({ key }) => key === 'stream_options')
  if (options === undefined) {
    return { start: outer.closeAt, end: outer.closeAt, text: ',"stream_options":{"include_usage":true}' }
  }
  const { valueStart, valueEnd } = options
  if (isNull(body, options)) return { start: valueStart, end: valueEnd, text: '{"include_usage":true}' }
  const scan = scanJson(body.subarray(valueStart, valueEnd), requestJsonLimits)
  if (scan instanceof JsonProblem || !scan.isObject) {
    const why = scan instanceof JsonProblem ? scan.message : 'it must be an object'
    throw new SpillwayError('invalid_request', `stream_options is not taken: ${why}`, { param: 'stream_options' })
  }
  const wish = scan.members.find(({ key }) => key === 'include_usage')
  if (wish === undefined) {
    const at = valueStart + scan.closeAt
    return { start: at, end: at, text: `${scan.members.length > 0 ? ',' : ''}"include_usage":true` }
  }
  const text = body.toString('latin1', valueStart + wish.valueStart, valueStart + wish.valueEnd)
  if (text === 'true') return 'asked'
  if (text !== 'false' && text !== 'null') {
    throw new SpillwayError('invalid_request', 'stream_options.include_usage must be true or false', {
      param: 'stream_options',
    })
  }
  return { start: valueStart + wish.valueStart, end: valueStart + wish.valueEnd, text: 'true' }
}

/** FNV-1a (Fowler, Noll, Vo; 32 bit) over the caller's own cache key, or else over the beginning of the prompt. */
function affinityOf(body: Buffer, prompt: JsonMember, cacheKey: JsonMember | undefined): string {
  const { valueStart, valueEnd } = cacheKey ?? prompt
  const end = Math.min(valueEnd, valueStart + affinityBytesMax)
  let hash = 0x811c9dc5
  for (let at = valueStart; at < end; at++) hash = Math.imul(hash ^ (body[at] as number), 0x01000193)
  return `${cacheKey === undefined ? 'p' : 'k'}${(hash >>> 0).toString(36)}`
}

function isNull(body: Buffer, member: JsonMember): boolean {
  return body[member.valueStart] === 0x6e
}

/** Reads single top-level fields, checking their types. */
class Fields {
  readonly scan: JsonScan
  readonly #body: Buffer

  constructor(body: Buffer, scan: JsonScan) {
    this.scan = scan
    this.#body = body
  }

  /** Absent and null are the same. */
  member(name: string): JsonMember | undefined {
    for (const member of this.scan.members) {
      if (member.key === name) return isNull(this.#body, member) ? undefined : member
    }
    return undefined
  }

  model(): string {
    const member = this.member('model')
    if (member !== undefined && this.#body[member.valueStart] !== 0x22) throw wrong('model', 'a string')
    const bytes = member === undefined ? 0 : member.valueEnd - member.valueStart
    if (bytes > modelBytesMax) throw wrong('model', `at most ${modelBytesMax} bytes long`)
    const model = member === undefined ? '' : readJsonString(this.#body, member.valueStart, member.valueEnd)
    if (model !== '') return model
    throw new SpillwayError('invalid_request', 'the field model is missing; GET /v1/models lists what can be asked', {
      param: 'model',
    })
  }

  boolean(name: string): boolean {
    const member = this.member(name)
    if (member === undefined) return false
    const first = this.#body[member.valueStart]
    if (first !== 0x74 && first !== 0x66) throw wrong(name, 'true or false')
    return first === 0x74
  }

  /** A whole number from 0 to 2^31. */
  count(name: string): number | undefined {
    const member = this.member(name)
    if (member === undefined) return undefined
    // No whole number in that range needs more digits, and what is longer costs time to read.
    const end = Math.min(member.valueEnd, member.valueStart + 33)
    const value = Number(this.#body.toString('latin1', member.valueStart, end))
    if (member.valueEnd > end || !Number.isInteger(value) || value < 0 || value > 0x7fffffff)
      throw wrong(name, 'a whole number')
    return value
  }

  /** A list of texts, or of texts as lists of tokens, is several prompts; a list of tokens is one. */
  prompts(prompt: JsonMember): number {
    if (prompt.elements === 0) return 1
    let at = prompt.valueStart + 1
    while (' \n\r\t'.includes(String.fromCharCode(this.#body[at] as number))) at++
    const first = this.#body[at]
    return first === 0x22 || first === 0x5b ? prompt.elements : 1
  }
}

function wrong(field: string, expected: string): SpillwayError {
  return new SpillwayError('invalid_request', `the field ${field} must be ${expected}`, { param: field })
}
