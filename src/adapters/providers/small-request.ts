import { failureOfError } from './failures.ts'
import { type HttpCall, type HttpExchange, openTransport } from './transport.ts'

/** Longer answers than this are none that was asked for here. */
const answerBytesMax = 64 * 1024
const timeoutMs = 10_000

/**
 * Asks one question over a connection of its own: for tokens. Follows no redirect, and takes no answer that is large or
 * late. Rejects with what went wrong, in words.
 */
export function smallRequest(url: URL, call: Omit<HttpCall, 'path'>): Promise<{ status: number; body: Buffer }> {
  const transport = openTransport(url.origin, { connectMs: timeoutMs, keepAliveMs: 1 })
  return new Promise<{ status: number; body: Buffer }>((resolve, reject) => {
    let status = 0
    let bytes = 0
    const pieces: Buffer[] = []
    const giveUp = (why: string): void => {
      exchange.abort()
      reject(new Error(`${url.origin} ${why}`))
    }
    const timer = setTimeout(() => giveUp(`does not answer within ${timeoutMs} ms`), timeoutMs)
    const exchange: HttpExchange = transport.send(
      { ...call, path: `${url.pathname}${url.search}` },
      {
        onHead: (given) => {
          status = given
        },
        onData: (piece) => {
          bytes += piece.length
          pieces.push(Buffer.from(piece))
          if (bytes > answerBytesMax) giveUp('sends an answer that is too large')
          return true
        },
        onEnd: () => {
          clearTimeout(timer)
          resolve({ status, body: Buffer.concat(pieces) })
        },
        onError: (error) => {
          clearTimeout(timer)
          reject(new Error(`${url.origin} cannot be reached (${error.code ?? failureOfError(error).kind})`))
        },
      },
    )
  }).finally(() => transport.close())
}
