/**
 * What is asked and answered in the benchmark. The mock vendor and the load generator share it: the one sends these
 * bytes, the other knows what has to arrive.
 */

/** How the mock vendor paces a stream; it reads it from the field `user`, which every gateway passes on. */
export type Pace = 'every-20-ms' | 'at-once' | 'silent-after-first'

export const streamIntervalMs = 20
export const upstreamModel = 'upstream-model'
/** Stands in every whole answer; one without it counts as failed. */
export const answerMark = 'The quick answer is forty-two'
/** Bytes of a small question and of every whole answer, near enough. */
const smallBytes = 1_024

export const vocabulary: readonly string[] =
  'a stream of bytes runs through many clouds and no one of them may keep what was said in another country while it waits'.split(
    ' ',
  )

/** A chat request of about `bodyBytes`, as an OpenAI client would send it. */
export function chatBody(
  model: string,
  bodyBytes: number,
  stream?: { readonly pace: Pace; readonly chunks: number },
): string {
  const body = (prompt: string) =>
    JSON.stringify({
      model,
      messages: [
        { role: 'system', content: 'You are a helpful assistant.' },
        { role: 'user', content: prompt },
      ],
      temperature: 0.7,
      max_tokens: stream?.chunks ?? 200,
      user: stream?.pace ?? 'whole',
      ...(stream && { stream: true }),
    })
  return body(words(Math.max(1, bodyBytes - body('').length)))
}

/** The whole answer to a chat request: one that reads like a vendor's, usage included. */
export const wholeAnswer = ((): Buffer => {
  const answer = (content: string) =>
    JSON.stringify({
      id: 'chatcmpl-C9x2mQ7vT4pYk1sLr8WnZb3dEfGh',
      object: 'chat.completion',
      created: 1_790_000_000,
      model: upstreamModel,
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content, refusal: null, annotations: [] },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: {
        prompt_tokens: 211,
        completion_tokens: 96,
        total_tokens: 307,
        prompt_tokens_details: { cached_tokens: 64, audio_tokens: 0 },
        completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
      },
      service_tier: 'default',
      system_fingerprint: 'fp_5b26d85e12',
    })
  return Buffer.from(answer(`${answerMark}: ${words(smallBytes - answer(`${answerMark}: `).length)}`))
})()

const eventHead = `data: {"id":"chatcmpl-C9x2mQ7vT4pYk1sLr8WnZb3dEfGh","object":"chat.completion.chunk","created":1790000000,"model":"${upstreamModel}","service_tier":"default","system_fingerprint":"fp_5b26d85e12","choices":[`

/** The events of a stream, as text: the role, `chunks` tokens, the end; usage where it was asked for. */
export const events = {
  role: `${eventHead}{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]}\n\n`,
  token: (index: number) =>
    `${eventHead}{"index":0,"delta":{"content":" ${wordAt(index)}"},"logprobs":null,"finish_reason":null}]}\n\n`,
  stop: `${eventHead}{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}\n\n`,
  usage: (chunks: number) =>
    `${eventHead}],"usage":{"prompt_tokens":211,"completion_tokens":${chunks},"total_tokens":${211 + chunks},"prompt_tokens_details":{"cached_tokens":64}}}\n\n`,
  done: 'data: [DONE]\n\n',
} as const

/** Events that a caller who did not ask for usage gets: role, tokens, stop, [DONE]. */
export function eventsOf(chunks: number): number {
  return chunks + 3
}

function words(bytes: number): string {
  let text = ''
  for (let index = 0; text.length < bytes; index++) text += `${wordAt(index)} `
  return text.slice(0, bytes)
}

export function wordAt(index: number): string {
  return vocabulary[index % vocabulary.length] as string
}
