import { request } from 'node:http'
import { acmeKey } from './setting.ts'

/** What a client saw of one stream. */
export interface SeenStream {
  /** Undefined where no answer came. */
  readonly id: string | undefined
  readonly status: number | undefined
  /** Content events, one token each. */
  readonly tokens: number
  /** `[DONE]` was seen. */
  readonly whole: boolean
  /** Of the error event, where there was one. */
  readonly code: string | undefined
}

/** Asks for a stream over a connection of its own and reads it to its end, whatever that is. Never throws. */
export function streamChat(
  port: number,
  {
    maxTokens,
    key = acmeKey,
    content = 'hi',
    leavesAfterMs,
  }: { maxTokens: number | undefined; key?: string; content?: string; leavesAfterMs?: number | undefined },
): Promise<SeenStream> {
  return new Promise((resolve) => {
    const body = JSON.stringify({
      model: 'chat-large',
      stream: true,
      max_tokens: maxTokens,
      messages: [{ role: 'user', content }],
    })
    const call = request(
      {
        host: '127.0.0.1',
        port,
        path: '/v1/chat/completions',
        method: 'POST',
        agent: false,
        headers: {
          authorization: `Bearer ${key}`,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        },
      },
      (answer) => {
        let text = ''
        if (leavesAfterMs !== undefined) setTimeout(() => call.destroy(), leavesAfterMs)
        answer.on('data', (chunk: Buffer) => {
          text += chunk.toString()
        })
        // A connection that breaks is one of the endings.
        answer.on('error', () => {})
        answer.on('close', () =>
          resolve({
            id: answer.headers['x-request-id'] as string,
            status: answer.statusCode,
            tokens: text.match(/"content":"w/g)?.length ?? 0,
            whole: text.includes('[DONE]'),
            code: /"code":"(\w+)"/.exec(text)?.[1],
          }),
        )
      },
    )
    call.on('error', () => resolve({ id: undefined, status: undefined, tokens: 0, whole: false, code: undefined }))
    call.end(body)
  })
}
