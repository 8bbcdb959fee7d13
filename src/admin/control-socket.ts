import { randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { errorCodes } from '../core/errors.ts'
import { SpillwayError } from '../core/spillway-error.ts'
import { removeControlFile, socketPlace, writeControlFile } from './control-file.ts'
import type { OnProgress } from './operations.ts'

const bodyBytesMax = 1024 * 1024

/** By name; each takes one JSON value and gives one, or a promise of it. It may tell how far it has come. */
export type Handlers = Readonly<Record<string, (argument: never, onProgress: OnProgress) => unknown>>

/**
 * Listens for the command line on a local socket: POST /NAME with a JSON argument, answered with lines of JSON: any
 * number of `{ progress }`, then one `{ result }` or `{ message }`. Only who can read the control file (this user) is
 * heard.
 */
export async function startControlSocket(dataDir: string, handlers: Handlers): Promise<{ close(): Promise<void> }> {
  const token = randomBytes(32).toString('hex')
  const { socket, remove } = socketPlace(dataDir)
  const server = createServer((request, response) => void answer(request, response, token, handlers))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(socket, resolve)
  })
  writeControlFile(dataDir, { socket, token })
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
        removeControlFile(dataDir)
        remove()
      }),
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  token: string,
  handlers: Handlers,
): Promise<void> {
  const line = (status: number, value: unknown): void => {
    if (!response.headersSent) response.writeHead(status, { 'content-type': 'application/x-ndjson' })
    response.write(`${JSON.stringify(value)}\n`)
  }
  const send = (status: number, value: unknown): void => {
    line(status, value)
    response.end()
  }
  try {
    if (!isToken(request.headers.authorization ?? '', token)) return send(401, { message: 'wrong token' })
    const name = (request.url ?? '').slice(1)
    const handler = Object.hasOwn(handlers, name) ? handlers[name] : undefined
    if (handler === undefined)
      return send(404, {
        message: `the running process does not know the operation ${name}; it may be of another version`,
      })
    const result: unknown = await handler(JSON.parse(await bodyOf(request)) as never, (done, total) =>
      line(200, { progress: [done, total] }),
    )
    send(200, { result: result ?? null })
  } catch (error) {
    const status = error instanceof SpillwayError ? errorCodes[error.code].status : 500
    send(status, { message: (error as Error).message })
  }
}

function isToken(authorization: string, token: string): boolean {
  const shown = Buffer.from(authorization.replace(/^Bearer /, ''))
  const expected = Buffer.from(token)
  return shown.length === expected.length && timingSafeEqual(shown, expected)
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > bodyBytesMax) throw new SpillwayError('request_too_large', 'the argument is too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8') || 'null'
}
