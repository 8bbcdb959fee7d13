import type { ProviderConfig } from '../../config/config.ts'
import { cloudKeepAliveMs } from './connections.ts'
import { type Credentials, headerCredentials, tokenCredentials } from './credentials.ts'
import type { VendorWire } from './openai-provider.ts'
import { optionalModule } from './optional-module.ts'
import { joinPath, originOf } from './urls.ts'

const scope = 'https://cognitiveservices.azure.com/.default'

/** Azure OpenAI and Foundry: a deployment's path with an API version, or the newer v1 path with the name in the body. */
export async function azureWire(
  config: ProviderConfig & { kind: 'azure' },
  secret: string | undefined,
  wallMs: () => number,
): Promise<VendorWire> {
  const base = new URL(config.baseUrl).pathname
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
    credentials: secret === undefined ? await entraCredentials(wallMs) : headerCredentials('api-key', secret),
  }
}

/** A token of the machine's or the environment's identity. */
async function entraCredentials(wallMs: () => number): Promise<Credentials> {
  const { DefaultAzureCredential } = await optionalModule('@azure/identity', () => import('@azure/identity'))
  const identity = new DefaultAzureCredential()
  return tokenCredentials(async () => {
    const token = await identity.getToken(scope)
    return { value: token.token, expiresWallMs: token.expiresOnTimestamp }
  }, wallMs)
}
