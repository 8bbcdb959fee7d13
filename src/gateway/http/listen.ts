import { createServer, type Server, type Socket } from 'node:net'

/**
 * The event loop takes one waiting connection a turn from each listening socket (seen with Node 26 and libuv 1.52). While
 * turns are long because much is to be done, callers would wait for seconds before anybody looks at what they ask, and
 * no deadline would run for them. So a port has several listening sockets, among which Linux deals its connections out.
 */
const socketsMax = process.platform === 'linux' ? 16 : 1

export interface Place {
  readonly host: string
  readonly port: number
  readonly backlog: number
}

export interface SocketSettings {
  readonly noDelay: boolean
  readonly keepAlive: boolean
  readonly highWaterMark: number
}

/**
 * Makes `server` listen, and sockets beside it that hand their connections to it. Rejects with the error of the system,
 * also where the port is shared by a program that would share it. Gives what closes the sockets beside it.
 */
export async function listen(server: Server, place: Place, settings: SocketSettings): Promise<() => Promise<void>> {
  if (socketsMax === 1) {
    await listening(server, place, false)
    return async () => {}
  }
  if (place.port !== 0) await mustBeFree(place)
  await listening(server, place, true)
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : place.port
  const beside: Server[] = []
  const close = async () => void (await Promise.all(beside.map(closed)))
  try {
    for (let index = 1; index < socketsMax; index++) {
      const one = createServer({ ...settings, allowHalfOpen: true }, (socket: Socket) =>
        server.emit('connection', socket),
      )
      beside.push(one)
      await listening(one, { ...place, port }, true)
    }
  } catch (error) {
    await Promise.all([close(), closed(server)])
    throw error
  }
  return close
}

/** Sockets that share a port do not mind each other; another gateway on the same port must be told all the same. */
async function mustBeFree(place: Place): Promise<void> {
  const alone = createServer()
  await listening(alone, place, false)
  await closed(alone)
}

function listening(server: Server, place: Place, reusePort: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ ...place, reusePort }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}
