import { createHash, createHmac } from 'node:crypto'
import type { ProviderConfig } from '../../config/config.ts'
import { cloudKeepAliveMs } from './connections.ts'
import { type Credentials, headerCredentials } from './credentials.ts'
import type { VendorWire } from './openai-provider.ts'
import { optionalModule } from './optional-module.ts'
import { joinPath, originOf } from './urls.ts'

/** AWS Bedrock by its OpenAI-compatible endpoint, with an API key or signed requests. */
export async function bedrockWire(
  config: ProviderConfig & { kind: 'bedrock' },
  secret: string | undefined,
): Promise<VendorWire> {
  const url = config.baseUrl ?? `https://bedrock-runtime.${config.region}.amazonaws.com`
  const given = new URL(url).pathname
  const base = /\/v1\/?$/.test(given) ? given : joinPath(given, '/openai/v1')
  return {
    kind: config.kind,
    keepAliveMs: cloudKeepAliveMs,
    origin: originOf(url),
    path: (operation) => joinPath(base, `/${operation}`),
    probePath: joinPath(base, '/models'),
    credentials:
      secret === undefined
        ? await signingCredentials(config.region)
        : headerCredentials('authorization', `Bearer ${secret.trim()}`),
  }
}

/** Signature version 4 with whatever the AWS credential chain finds. */
async function signingCredentials(region: string): Promise<Credentials> {
  const { SignatureV4 } = await optionalModule('@smithy/signature-v4', () => import('@smithy/signature-v4'))
  const { defaultProvider } = await optionalModule(
    '@aws-sdk/credential-provider-node',
    () => import('@aws-sdk/credential-provider-node'),
  )
  const signer = new SignatureV4({ service: 'bedrock', region, credentials: defaultProvider(), sha256: Sha256 })
  return {
    async headers({ method, url, body }) {
      const signed = await signer.sign({
        method,
        protocol: url.protocol,
        hostname: url.hostname,
        ...(url.port !== '' && { port: Number(url.port) }),
        path: url.pathname,
        query: Object.fromEntries(url.searchParams),
        headers: { host: url.host, 'content-type': 'application/json' },
        ...(body && { body }),
      })
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
