import type { ProviderConfig } from '../../config/config.ts'
import type { Clock } from '../../core/clock.ts'
import { cloudKeepAliveMs } from './connections.ts'
import { headerCredentials } from './credentials.ts'
import type { VendorWire } from './openai-provider.ts'
import { signingCredentials } from './signing-credentials.ts'
import { joinPath, originOf } from './urls.ts'

/** AWS Bedrock by its OpenAI-compatible endpoint, with an API key or signed requests. */
export async function bedrockWire(
  config: ProviderConfig & { kind: 'bedrock' },
  secret: string | undefined,
  clock: Clock,
): Promise<VendorWire> {
  const { region } = config
  const url = config.baseUrl ?? `https://bedrock-runtime.${region}.${domainOf(region)}`
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
        ? await signingCredentials({ region, service: serviceOf(url), clock })
        : headerCredentials('authorization', `Bearer ${secret.trim()}`),
  }
}

/** AWS proper, its sovereign cloud in Europe, and its regions in China are apart from each other. */
function domainOf(region: string): string {
  if (region.startsWith('cn-')) return 'amazonaws.com.cn'
  return region.startsWith('eusc-') ? 'amazonaws.eu' : 'amazonaws.com'
}

/** What the signature is for: Bedrock's newer hosts are a service of their own. */
function serviceOf(url: string): string {
  return new URL(url).hostname.startsWith('bedrock-mantle.') ? 'bedrock-mantle' : 'bedrock'
}
