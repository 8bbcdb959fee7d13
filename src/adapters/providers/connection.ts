import { isIP, connect as openTcp, type Socket } from 'node:net'
import { connect as openTls } from 'node:tls'
import { writeJoined } from '../http1/write-joined.ts'
import { hostResolver } from './host-resolver.ts'

/** Who a connection carries bytes for at the moment. */
export interface ConnectionUser {
  /** What the vendor sends; good during the call only. Giving false asks for `resume` before more is read. */
  onBytes(bytes: Buffer): boolean
  /** It is gone; `error` where it did not close in order. Comes once, and never from inside a call of the user's. */
  onGone(error: NodeJS.ErrnoException | undefined): void
}

/** Where connections of one pool lead. */
export interface Target {
  readonly host: string
  readonly port: number
  readonly tls: boolean
  readonly connectMs: number
  /** The last session a server of this origin gave: saves a round trip of the next handshake. */
  tlsSession: Buffer | undefined
}

/**
 * All connections read into the same memory, one after the other: what is read is used up or copied before the next
 * read. An open stream holds no buffer of its own, and a read makes no garbage.
 */
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024)

/** Not under way within its time. */
export const connectTimeout = 'ERR_CONNECT_TIMEOUT'

/** One TCP or TLS connection to a vendor, made when it is constructed. */
export class Connection {
  /** None while it is idle: whatever comes then ends it. */
  user: ConnectionUser | undefined
  /** It has carried an exchange before the one under way. */
  used = false
  /** When it was put to rest, and when it has been idle for too long. */
  restedAtMs = 0
  idleUntilMs = 0
  readonly #socket: Socket
  readonly #onIdleEnd: (connection: Connection, surplus: boolean) => void
  #gone = false

  /** `onIdleEnd` is told when it ends while it is idle; `surplus`: because bytes came that nobody had asked for. */
  constructor(target: Target, onIdleEnd: (connection: Connection, surplus: boolean) => void) {
    this.#onIdleEnd = onIdleEnd
    this.#socket = open(target, (bytes) => this.#take(bytes))
    const timer = setTimeout(
      () => this.#end(Object.assign(new Error('no connection in time'), { code: connectTimeout })),
      target.connectMs,
    )
    this.#socket
      .once(target.tls ? 'secureConnect' : 'connect', () => clearTimeout(timer))
      .once('close', () => {
        clearTimeout(timer)
        this.#end(undefined)
      })
      .once('end', () => this.#end(undefined))
      .on('error', (error) => this.#end(error))
      .on('session', (session: Buffer) => {
        target.tlsSession = session
      })
  }

  get isGone(): boolean {
    return this.#gone
  }

  /** Everything given to `send` is with the system. */
  get isSent(): boolean {
    return this.#socket.writableLength === 0
  }

  /** Sends one request. */
  send(head: string, body: Uint8Array | undefined): void {
    if (body === undefined) this.#socket.write(head, 'latin1')
    else writeJoined(this.#socket, head, body, '')
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Closes it at once; tells its user nothing. */
  destroy(): void {
    this.user = undefined
    this.#gone = true
    this.#socket.destroy()
  }

  /** Gives false where no more is to be read now. */
  #take(bytes: Buffer): boolean {
    if (this.user !== undefined) return this.user.onBytes(bytes)
    this.#end(undefined, true)
    return true
  }

  #end(error: NodeJS.ErrnoException | undefined, surplus = false): void {
    if (this.#gone) return
    this.#gone = true
    this.#socket.destroy()
    if (this.user === undefined) this.#onIdleEnd(this, surplus)
    else this.user.onGone(error)
  }
}

function open({ host, port, tls, tlsSession }: Target, take: (bytes: Buffer) => boolean): Socket {
  const options = {
    host,
    port,
    lookup: hostResolver.lookup,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 60_000,
    onread: {
      buffer: readBuffer,
      callback: (bytesRead: number) => take(readBuffer.subarray(0, bytesRead)),
    },
  }
  if (!tls) return openTcp(options)
  return openTls({
    ...options,
    // A certificate is asked for by name, never by address (RFC 6066).
    ...(isIP(host) === 0 && { servername: host }),
    ALPNProtocols: ['http/1.1'],
    ...(tlsSession && { session: tlsSession }),
  })
}
