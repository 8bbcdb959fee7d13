import type { Socket } from 'node:net'

/** Long enough for an answer to cross a continent and be read. */
const lingerMs = 1_000

/**
 * Ends a connection whose client may still be sending. Closing with bytes unread resets it, and a client that meets the
 * reset while it writes never sees the answer; so what it still sends is thrown away for a moment first.
 */
export function endLingering(socket: Socket, lastBytes?: Uint8Array): void {
  if (lastBytes === undefined) socket.end()
  else socket.end(lastBytes)
  socket.resume()
  setTimeout(() => socket.destroy(), lingerMs).unref()
}
