import type { Prompt } from './prompt.ts'

/** Who answers, for the text of the answer. */
export interface Place {
  readonly cloud: string
  readonly country: string
  readonly accelerator: string
}

const filler = [
  'the ',
  'cloud ',
  'that ',
  'you ',
  'asked ',
  'is ',
  'not ',
  'real ',
  'but ',
  'its ',
  'words ',
  'are ',
  'counted ',
  'one ',
  'by ',
  'one ',
]

/** Builds the events and the whole answer of one simulated completion. Every event carries exactly one token. */
export class Answer {
  readonly tokens: number
  readonly #prompt: Prompt
  readonly #place: Place
  readonly #operation: string
  readonly #opening: readonly string[]
  readonly #head: string
  readonly #id: string
  readonly #created: number
  readonly #cachedTokens: number
  readonly #choiceExtra: string
  readonly #finish: string

  constructor(options: {
    readonly id: string
    readonly prompt: Prompt
    readonly place: Place
    readonly operation: string
    readonly tokens: number
    readonly cachedTokens: number
    readonly createdSeconds: number
    /** What a vendor adds to each choice, as JSON members. */
    readonly choiceExtra: string
  }) {
    const { place, prompt } = options
    this.tokens = options.tokens
    this.#prompt = prompt
    this.#place = place
    this.#operation = options.operation
    this.#id = options.id
    this.#created = options.createdSeconds
    this.#cachedTokens = options.cachedTokens
    this.#choiceExtra = options.choiceExtra
    this.#opening =
      `Simulation: ${place.cloud} in ${place.country} on ${place.accelerator} answers. `.match(/\S+ /g) ?? []
    this.#finish = prompt.tool !== undefined ? 'tool_calls' : prompt.outputTokens === options.tokens ? 'length' : 'stop'
    const object = options.operation === 'completions' ? 'text_completion' : 'chat.completion.chunk'
    this.#head = `data: {"id":"${this.#id}","object":"${object}","created":${this.#created},"model":${JSON.stringify(prompt.model)},"choices":[{"index":0,`
  }

  /** Before the first token: the role. Empty for plain completions. */
  first(): string {
    if (this.#operation === 'completions') return ''
    return this.#event('"delta":{"role":"assistant","content":""}', 'null', 0)
  }

  /** The token with this number, from 0. */
  token(index: number): string {
    const text = JSON.stringify(this.#text(index))
    if (this.#operation === 'completions') return this.#event(`"text":${text}`, 'null', index + 1)
    if (this.#prompt.tool === undefined) return this.#event(`"delta":{"content":${text}}`, 'null', index + 1)
    const named = index === 0 ? `"id":"call_${this.#id}","type":"function",` : ''
    const name = index === 0 ? `"name":${JSON.stringify(this.#prompt.tool)},` : ''
    return this.#event(
      `"delta":{"tool_calls":[{"index":0,${named}"function":{${name}"arguments":${JSON.stringify(this.#argument(index))}}}]}`,
      'null',
      index + 1,
    )
  }

  /** After the last token: why it ended, the usage if it was asked for, the end. */
  last(): string {
    const delta = this.#operation === 'completions' ? '"text":""' : '"delta":{}'
    const usage = this.#prompt.includeUsage
      ? `${this.#head.slice(0, this.#head.indexOf('"choices":'))}"choices":[],"usage":${JSON.stringify(this.usage(this.tokens))}}\n\n`
      : ''
    return `${this.#event(delta, `"${this.#finish}"`, this.tokens)}${usage}data: [DONE]\n\n`
  }

  usage(outputTokens: number): object {
    const { tokens } = this.#prompt
    return {
      prompt_tokens: tokens,
      completion_tokens: outputTokens,
      total_tokens: tokens + outputTokens,
      prompt_tokens_details: { cached_tokens: this.#cachedTokens },
    }
  }

  /** The whole answer in one piece, `extra` being what a vendor adds to it. */
  whole(extra: object): string {
    const text = Array.from({ length: this.tokens }, (_, index) => this.#text(index)).join('')
    const { tool } = this.#prompt
    const choiceExtra = JSON.parse(`{${this.#choiceExtra.replace(/^,/, '')}}`) as object
    const message = {
      role: 'assistant',
      content: tool === undefined ? text : null,
      ...(tool !== undefined && { tool_calls: [this.#toolCall(tool)] }),
    }
    const content = this.#operation === 'completions' ? { text } : { message }
    return JSON.stringify({
      id: this.#id,
      object: this.#operation === 'completions' ? 'text_completion' : 'chat.completion',
      created: this.#created,
      model: this.#prompt.model,
      choices: [{ index: 0, ...content, logprobs: null, finish_reason: this.#finish, ...choiceExtra }],
      usage: this.usage(this.tokens),
      ...extra,
    })
  }

  #toolCall(name: string): object {
    const text = Array.from({ length: this.tokens }, (_, index) => this.#argument(index)).join('')
    return { id: `call_${this.#id}`, type: 'function', function: { name, arguments: text } }
  }

  #event(content: string, finish: string, tokensSoFar: number): string {
    const usage = this.#prompt.continuousUsage
      ? `,"usage":${JSON.stringify(this.usage(tokensSoFar))}`
      : this.#prompt.includeUsage
        ? ',"usage":null'
        : ''
    return `${this.#head}${content},"logprobs":null,"finish_reason":${finish}${this.#choiceExtra}}]${usage}}\n\n`
  }

  #text(index: number): string {
    return this.#opening[index] ?? (filler[index % filler.length] as string)
  }

  /** Arguments that are JSON whatever their number of tokens. */
  #argument(index: number): string {
    if (this.tokens === 1) return '{}'
    if (index === 0) return '{"place":"'
    return index === this.tokens - 1 ? '"}' : index === 1 ? this.#place.country : ' .'
  }
}
