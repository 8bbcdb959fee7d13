import { createServer, get, type Server as HttpServer } from 'node:http'
import { type AddressInfo, connect, createServer as createNetServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { listen } from './listen.ts'

const settings = { noDelay: true, keepAlive: false, highWaterMark: 65_536 }
const place = { host: '127.0.0.1', port: 0, backlog: 1_024 }
const closing: (() => unknown)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function open(server: Server, port = 0): Promise<number> {
  const close = await listen(server, { ...place, port }, settings)
  closing.push(close, () => server.close())
  return (server.address() as AddressInfo).port
}

describe('a port that is listened on', () => {
  test.runIf(process.platform === 'linux')('takes many connections in few turns of a busy event loop', async () => {
    let taken = 0
    const sockets: Socket[] = []
    const port = await open(
      createNetServer((socket) => {
        taken++
        sockets.push(socket)
      }),
    )
    closing.push(() => {
      for (const socket of sockets) socket.destroy()
    })
    const callers = 160
    let turns = 0
    await new Promise<void>((resolve) => {
      const turn = () => {
        if (taken === callers) return resolve()
        turns++
        // Long enough for everybody to be waiting at the next turn.
        for (const untilMs = performance.now() + 5; performance.now() < untilMs; );
        setImmediate(turn)
      }
      for (let i = 0; i < callers; i++) sockets.push(connect(port, place.host))
      turn()
    })
    expect(turns).toBeLessThan(callers / 2)
  })

  test('hands every connection to its server', async () => {
    const server = createServer((_request, response) => response.end('here'))
    const port = await open(server)
    const answers = Array.from(
      { length: 40 },
      () =>
        new Promise<string>((resolve, reject) => {
          get({ ...place, port, agent: false }, (answer) => {
            let text = ''
            answer.on('data', (chunk: Buffer) => {
              text += chunk.toString()
            })
            answer.on('end', () => resolve(text))
          }).on('error', reject)
        }),
    )
    expect(await Promise.all(answers)).toEqual(new Array(40).fill('here'))
  })

  test('is nobody else’s', async () => {
    const port = await open(createServer())
    await expect(listen(createServer(), { ...place, port }, settings)).rejects.toMatchObject({ code: 'EADDRINUSE' })
    const alone = createNetServer()
    await new Promise<void>((resolve) => alone.listen(0, place.host, resolve))
    closing.push(() => alone.close())
    const taken = (alone.address() as AddressInfo).port
    await expect(listen(createServer(), { ...place, port: taken }, settings)).rejects.toMatchObject({
      code: 'EADDRINUSE',
    })
  })

  test('is free again when all is closed', async () => {
    const first: HttpServer = createServer()
    const close = await listen(first, place, settings)
    const { port } = first.address() as AddressInfo
    await close()
    await new Promise((resolve) => first.close(resolve))
    expect(await open(createServer(), port)).toBe(port)
  })
})
