import { createHash, createHmac } from 'node:crypto'
import type { Clock } from '../../core/clock.ts'
import type { Credentials } from './credentials.ts'
import { optionalModule } from './optional-module.ts'
import { PatientFetch } from './patient-fetch.ts'

export interface SigningOptions {
  readonly region: string
  readonly service: string
  readonly clock: Clock
}

/** AWS signature version 4, with whatever AWS's own chain of credentials finds: environment, files, the machine's role. */
export async function signingCredentials({ region, service, clock }: SigningOptions): Promise<Credentials> {
  const { SignatureV4 } = await optionalModule('@smithy/signature-v4', () => import('@smithy/signature-v4'))
  const { defaultProvider } = await optionalModule(
    '@aws-sdk/credential-provider-node',
    () => import('@aws-sdk/credential-provider-node'),
  )
  // It keeps what it found, and asks again before that expires.
  const identity = new PatientFetch(defaultProvider(), clock)
  const signer = new SignatureV4({ service, region, credentials: () => identity.get(), sha256: Sha256 })
  return {
    async headers({ method, origin, path, body }) {
      const url = new URL(path, origin)
      const signed = await signer.sign(
        {
          method,
          protocol: url.protocol,
          hostname: url.hostname,
          ...(url.port !== '' && { port: Number(url.port) }),
          path: url.pathname,
          query: Object.fromEntries(url.searchParams),
          headers: { host: url.host, 'content-type': 'application/json' },
          ...(body && { body }),
        },
        { signingDate: new Date(clock.wallMs()) },
      )
      // Sent by the transport itself.
      return Object.entries(signed.headers).flatMap(([name, value]) =>
        name === 'host' || name === 'content-type' ? [] : [name, value],
      )
    },
  }
}

type Data = string | ArrayBuffer | ArrayBufferView

/** The hash that the signer asks for, over Node's own. */
class Sha256 {
  readonly #secret: Data | undefined
  readonly #parts: Buffer[] = []

  constructor(secret?: Data) {
    this.#secret = secret
  }

  update(data: Data): void {
    this.#parts.push(bytesOf(data))
  }

  async digest(): Promise<Uint8Array> {
    const hash = this.#secret === undefined ? createHash('sha256') : createHmac('sha256', bytesOf(this.#secret))
    for (const part of this.#parts) hash.update(part)
    return new Uint8Array(hash.digest())
  }

  reset(): void {
    this.#parts.length = 0
  }
}

function bytesOf(data: Data): Buffer {
  if (typeof data === 'string') return Buffer.from(data)
  return ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.from(data)
}
