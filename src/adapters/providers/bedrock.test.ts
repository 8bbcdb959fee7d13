import { vi } from 'vitest'
import type { ProviderConfig } from '../../config/config.ts'
import { openProvider } from './open-provider.ts'
import { providerContract, wallMs } from './provider.contract.ts'

const at = (origin: string): ProviderConfig => ({
  kind: 'bedrock',
  baseUrl: origin,
  region: 'eu-north-1',
  subProcessor: 'aws',
  country: 'SE',
})

providerContract(
  'Bedrock with an API key',
  (origin, limits) => openProvider(at(origin), 'secret', limits, () => wallMs),
  { header: 'authorization', value: /^Bearer secret$/ },
)

providerContract(
  'Bedrock with signed requests',
  (origin, limits) => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDEXAMPLE')
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY')
    return openProvider(at(origin), undefined, limits, () => wallMs)
  },
  {
    header: 'authorization',
    value: /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/eu-north-1\/bedrock\/aws4_request, SignedHeaders=/,
  },
)
