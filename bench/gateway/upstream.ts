/**
 * The mock vendor: a process of its own, on bare sockets, so that it is never what is measured. Prints its port.
 *
 *   node bench/gateway/upstream.ts
 */
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { events, type Pace, streamIntervalMs, vocabulary, wholeAnswer } from './answers.ts'
import { bodyEnd } from './http-reader.ts'

const vendorHeaders = 'openai-processing-ms: 212\r\nopenai-version: 2020-10-01\r\nx-request-id: req_vendor\r\n'
const wholeBytes = Buffer.concat([
  Buffer.from(
    `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n${vendorHeaders}content-length: ${wholeAnswer.length}\r\n\r\n`,
  ),
  wholeAnswer,
])
const streamHead = `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n${vendorHeaders}transfer-encoding: chunked\r\n\r\n`
const firstBytes = Buffer.from(streamHead + chunked(events.role))
/** The words of an answer, which go round: each made ready once. */
const tokenBytes = vocabulary.map((_, index) => Buffer.from(chunked(events.token(index))))

function chunked(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`
}

interface RunningStream {
  readonly socket: Socket
  readonly chunks: number
  readonly withUsage: boolean
  sent: number
}

/**
 * Streams in as many groups as milliseconds lie between two chunks: each group is served in its own millisecond, as
 * streams of different callers fall at different times.
 */
const groups = Array.from({ length: streamIntervalMs }, () => new Set<RunningStream>())
let servedMs = Math.floor(performance.now())
let started = 0
setInterval(() => {
  const nowMs = Math.floor(performance.now())
  // A timer that fires late serves the groups it has missed, so that the pace holds.
  for (servedMs = Math.max(servedMs, nowMs - streamIntervalMs); servedMs < nowMs; servedMs++) {
    const group = groups[servedMs % streamIntervalMs] as Set<RunningStream>
    for (const stream of group) if (!sendNext(stream)) group.delete(stream)
  }
}, 1)

/** Gives false after the last. */
function sendNext(stream: RunningStream): boolean {
  const { socket, chunks } = stream
  if (socket.destroyed) return false
  if (stream.sent < chunks) {
    socket.write(tokenBytes[stream.sent++ % tokenBytes.length] as Buffer)
    return true
  }
  socket.write(endOf(stream))
  return false
}

function endOf({ chunks, withUsage }: RunningStream): string {
  const usage = withUsage ? chunked(events.usage(chunks)) : ''
  return `${chunked(events.stop)}${usage}${chunked(events.done)}0\r\n\r\n`
}

function answer(socket: Socket, request: Buffer): void {
  const text = request.toString('latin1')
  if (text.startsWith('GET ')) {
    socket.write(
      'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 27\r\n\r\n{"object":"list","data":[]}',
    )
    return
  }
  const pace = /"user":\s*"([\w-]+)"/.exec(text)?.[1] as Pace | 'whole' | undefined
  if (pace === 'whole') {
    socket.write(wholeBytes)
    return
  }
  const chunks = Number(/"max_tokens":\s*(\d+)/.exec(text)?.[1])
  const withUsage = /"include_usage":\s*true/.test(text)
  const stream: RunningStream = { socket, chunks, withUsage, sent: 0 }
  socket.write(firstBytes)
  if (pace === 'every-20-ms') groups[started++ % streamIntervalMs]?.add(stream)
  else if (pace === 'at-once') {
    const tokens = Array.from({ length: chunks }, (_, index) => chunked(events.token(index)))
    socket.write(tokens.join('') + endOf(stream))
  }
}

const server = createServer({ noDelay: true }, (socket) => {
  let rest: Buffer | undefined
  socket.on('data', (bytes: Buffer) => {
    const read = rest === undefined ? bytes : Buffer.concat([rest, bytes])
    const end = bodyEnd(read)
    rest = end === read.length ? undefined : read
    if (end >= 0) answer(socket, read)
  })
  socket.on('error', () => socket.destroy())
})
server.listen(0, '127.0.0.1', 4_096, () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`)
})
