import type { ProviderConfig } from '../../config/config.ts'
import type { Clock } from '../../core/clock.ts'
import { cloudKeepAliveMs } from './connections.ts'
import { type Credentials, headerCredentials, tokenCredentials } from './credentials.ts'
import type { VendorWire } from './openai-provider.ts'
import { optionalModule } from './optional-module.ts'
import { joinPath, originOf } from './urls.ts'

/** Whose resource a token is for: Azure, and its clouds for the US government and for China. */
const scopes: readonly (readonly [hostEnd: string, scope: string])[] = [
  ['.azure.us', 'https://cognitiveservices.azure.us/.default'],
  ['.azure.cn', 'https://cognitiveservices.azure.cn/.default'],
  ['', 'https://cognitiveservices.azure.com/.default'],
]

/** Azure OpenAI and Foundry: a deployment's path with an API version, or the newer v1 path with the name in the body. */
export async function azureWire(
  config: ProviderConfig & { kind: 'azure' },
  secret: string | undefined,
  clock: Clock,
): Promise<VendorWire> {
  const { pathname: base, hostname } = new URL(config.baseUrl)
  const version = `?api-version=${encodeURIComponent(config.apiVersion)}`
  const v1 = config.path === 'v1'
  return {
    kind: config.kind,
    keepAliveMs: cloudKeepAliveMs,
    origin: originOf(config.baseUrl),
    path: (operation, deployment) =>
      v1
        ? joinPath(base, `/openai/v1/${operation}`)
        : joinPath(base, `/openai/deployments/${encodeURIComponent(deployment)}/${operation}${version}`),
    probePath: v1 ? joinPath(base, '/openai/v1/models') : joinPath(base, `/openai/models${version}`),
    credentials: secret === undefined ? await entraCredentials(hostname, clock) : headerCredentials('api-key', secret),
  }
}

/** A token of the machine's or the environment's identity. */
async function entraCredentials(hostname: string, clock: Clock): Promise<Credentials> {
  const { DefaultAzureCredential } = await optionalModule('@azure/identity', () => import('@azure/identity'))
  const identity = new DefaultAzureCredential()
  const scope = scopes.find(([hostEnd]) => hostname.endsWith(hostEnd))?.[1] ?? ''
  return tokenCredentials(async () => {
    const token = await identity.getToken(scope)
    return { value: token.token, expiresWallMs: token.expiresOnTimestamp }
  }, clock)
}
