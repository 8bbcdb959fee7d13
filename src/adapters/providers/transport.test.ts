import { readFileSync } from 'node:fs'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import path from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterEach, describe, expect, test } from 'vitest'
import { until } from '../../../test/e2e/gateway-process.ts'
import { openTransport, type Transport } from './transport.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function listening(server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => sockets.add(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as AddressInfo).port
}

function opened(origin: string, options: { connectMs?: number; keepAliveMs?: number } = {}): Transport {
  const transport = openTransport(origin, { connectMs: 1_000, keepAliveMs: 4_000, ...options })
  closing.push(() => transport.close())
  return transport
}

/** Sends one request; gives the body, or the code of the error. */
function asked(transport: Transport, body?: Buffer, headers: readonly string[] = []): Promise<string> {
  return new Promise((resolve) => {
    const parts: Buffer[] = []
    transport.send(
      { method: body === undefined ? 'GET' : 'POST', path: '/x', headers, body },
      {
        onHead: () => {},
        onData: (bytes) => parts.push(Buffer.from(bytes)) > 0,
        onEnd: () => resolve(Buffer.concat(parts).toString()),
        onError: (error) => resolve(error.code ?? error.message),
      },
    )
  })
}

const tls = {
  cert: readFileSync(path.join(import.meta.dirname, '../../../test/fixtures/tls/cert.pem')),
  key: readFileSync(path.join(import.meta.dirname, '../../../test/fixtures/tls/key.pem')),
}
const echo = (request: IncomingMessage, response: ServerResponse) => {
  request.pipe(response)
}
/** Long enough for a connection that has carried an answer to be ready for the next. */
const rested = () => new Promise((resolve) => setTimeout(resolve, 60))

describe('over TLS', () => {
  const trusted = getCACertificates('default')
  afterEach(() => setDefaultCACertificates(trusted))

  test('requests of any size go over one connection to a server whose certificate is good', async () => {
    setDefaultCACertificates([...trusted, tls.cert.toString()])
    let connections = 0
    const server = createTlsServer(tls, echo)
    server.on('secureConnection', () => {
      connections++
    })
    const transport = opened(`https://localhost:${await listening(server)}`)
    for (const bytes of [1, 10_000, 100_000, 3_000_000]) {
      const body = Buffer.alloc(bytes, 'spillway ')
      expect((await asked(transport, body)) === body.toString()).toBe(true)
      await rested()
    }
    expect(connections).toBe(1)
  })

  test('a server that nobody vouches for is not sent anything', async () => {
    let requests = 0
    const server = createTlsServer(tls, (request, response) => {
      requests++
      echo(request, response)
    })
    const transport = opened(`https://localhost:${await listening(server)}`)
    expect(await asked(transport, Buffer.from('secret'))).toMatch(/SELF_SIGNED_CERT/)
    expect(requests).toBe(0)
  })

  test('a server with the certificate of another name is not sent anything', async () => {
    setDefaultCACertificates([...trusted, tls.cert.toString()])
    const transport = opened(`https://127.0.0.1:${await listening(createTlsServer(tls, echo))}`)
    expect(await asked(transport, Buffer.from('secret'))).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
  })

  test('a server that does not finish the handshake is given up', async () => {
    const transport = opened(`https://localhost:${await listening(createTcpServer(() => {}))}`, { connectMs: 100 })
    expect(await asked(transport)).toBe('ERR_CONNECT_TIMEOUT')
  })
})

describe('kept connections', () => {
  const counting = (serve: (response: ServerResponse) => void) => {
    const seen = { connections: 0, open: 0 }
    const server = createHttpServer((request, response) => {
      request.resume()
      serve(response)
    })
    server.keepAliveTimeout = 60_000
    server.on('connection', (socket) => {
      seen.connections++
      seen.open++
      socket.on('close', () => seen.open--)
    })
    return { server, seen }
  }

  test('are closed where the vendor will close them soon, or asks for it', async () => {
    for (const header of [{ 'keep-alive': 'timeout=2' }, { connection: 'close' }] as Record<string, string>[]) {
      const { server, seen } = counting((response) => response.writeHead(200, header).end('ok'))
      const transport = opened(`http://127.0.0.1:${await listening(server)}`)
      for (let round = 1; round <= 2; round++) {
        expect(await asked(transport)).toBe('ok')
        await until(() => seen.open === 0)
        expect(seen.connections).toBe(round)
      }
    }
  })

  test('are closed once they have been idle for too long, while nobody asks', async () => {
    const { server, seen } = counting((response) => response.writeHead(200, { 'keep-alive': 'x' }).end('ok'))
    const transport = opened(`http://127.0.0.1:${await listening(server)}`, { keepAliveMs: 100 })
    expect(await asked(transport)).toBe('ok')
    await until(() => seen.open === 0)
  })

  test('are not used again before a request that was answered early has been sent', async () => {
    let connections = 0
    const server = createTcpServer((socket) => {
      connections++
      socket.on('error', () => {})
      socket.once('readable', () => {
        // Answers the head and reads no further.
        socket.read(100)
        socket.write('HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno')
      })
    })
    const transport = opened(`http://127.0.0.1:${await listening(server)}`)
    for (let round = 1; round <= 2; round++) {
      expect(await asked(transport, Buffer.alloc(16 * 1024 * 1024))).toBe('no')
      await rested()
      expect(connections).toBe(round)
    }
  })
})

test('a header that would not stay within its line is not sent', async () => {
  let requests = 0
  const server = createHttpServer((request, response) => {
    requests++
    echo(request, response)
  })
  const transport = opened(`http://127.0.0.1:${await listening(server)}`)
  for (const value of ['a\r\nx: y', 'a\nb', 'a\0', 'ś'])
    expect(await asked(transport, undefined, ['authorization', value])).toBe('ERR_UNSENDABLE_HEADER')
  expect(requests).toBe(0)
})
