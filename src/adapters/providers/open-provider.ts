import type { ProviderConfig } from '../../config/config.ts'
import type { Clock } from '../../core/clock.ts'
import { azureWire } from './azure.ts'
import { bedrockWire } from './bedrock.ts'
import { engineKeepAliveMs } from './connections.ts'
import { headerCredentials, noCredentials } from './credentials.ts'
import { OpenAiProvider, type OpenAiProviderOptions, type VendorWire } from './openai-provider.ts'
import type { Provider } from './provider.ts'
import { joinPath, originOf } from './urls.ts'
import { vertexWire } from './vertex.ts'

/**
 * Makes the provider that a configuration describes. `secret` is what its reference leads to. Rejects, with what to do,
 * where a library or a credential is missing. `onProblem` is told, in one line, of trouble that only the
 * operator can end. A native dialect would be another case here, beside the wires.
 */
export async function openProvider(
  config: ProviderConfig,
  secret: string | undefined,
  limits: OpenAiProviderOptions['limits'],
  clock: Clock,
  onProblem: (problem: string) => void = () => {},
): Promise<Provider> {
  return new OpenAiProvider({ wire: await wireOf(config, secret, clock), limits, clock, onProblem })
}

async function wireOf(config: ProviderConfig, secret: string | undefined, clock: Clock): Promise<VendorWire> {
  switch (config.kind) {
    case 'azure':
      return azureWire(config, secret, clock)
    case 'vertex':
      return vertexWire(config, secret, clock)
    case 'bedrock':
      return bedrockWire(config, secret, clock)
    case 'openai-compatible': {
      const base = new URL(config.baseUrl).pathname
      return {
        kind: config.kind,
        keepAliveMs: engineKeepAliveMs,
        origin: originOf(config.baseUrl),
        path: (operation) => joinPath(base, `/${operation}`),
        probePath: joinPath(base, '/models'),
        credentials:
          secret === undefined ? noCredentials : headerCredentials('authorization', `Bearer ${secret.trim()}`),
      }
    }
  }
}
