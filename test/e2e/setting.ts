import type { FakeVendor } from './fake-vendor.ts'
import { GatewayProcess } from './gateway-process.ts'

export const acmeKey = 'sk-spw-acme-0123456789abcdefghijklmnopqrstuvwxyz0123'
export const otherKey = 'sk-spw-other-0123456789abcdefghijklmnopqrstuvwxyz012'

export interface Place {
  readonly name: string
  readonly vendor: FakeVendor
  readonly subProcessor: string
  readonly country: string
}

/** A configuration over fake vendors: model `chat-large` at all of them, tenants `acme` (all) and `other` (GB only). */
export function yamlFor(
  places: readonly Place[],
  extra: {
    limits?: string
    acme?: string
    plan?: string
    routing?: string
    concurrencyMax?: number
    model?: string
  } = {},
): string {
  const providers = places.map(
    ({ name, vendor, subProcessor, country }) =>
      `  ${name}: { kind: openai-compatible, baseUrl: "http://127.0.0.1:${vendor.port}/v1", apiKey: { env: VENDOR_KEY }, subProcessor: ${subProcessor}, country: "${country}" }`,
  )
  const endpoints = places.map(
    ({ name }) =>
      `      - { provider: ${name}, upstreamModel: upstream-model, concurrencyMax: ${extra.concurrencyMax ?? 64}, usdPerMillionTokens: { input: 1, cachedInput: 0.5, output: 2 } }`,
  )
  return `
location: { country: NL, subProcessor: self }
limits: ${extra.limits ?? '{ firstByteMs: 5000, streamIdleMs: 2000, queueMs: 2000, drainMs: 3000 }'}
providers:
${providers.join('\n')}
models:
  chat-large:
    endpoints:
${endpoints.join('\n')}
    routing: ${extra.routing ?? 'interactive'}
    ${extra.model ?? ''}
plans:
  enterprise: ${extra.plan ?? '{ priority: 30 }'}
tenants:
  acme: { plan: enterprise, countries: any, subProcessors: any, ${extra.acme === undefined ? '' : `${extra.acme}, `}keys: [{ env: ACME_KEY }] }
  other: { plan: enterprise, countries: [GB, NL], subProcessors: [microsoft, self], keys: [{ env: OTHER_KEY }] }
`
}

/** One vendor, tried once: what fails there fails for the caller. */
export function triedOnceYaml(vendor: FakeVendor): string {
  return yamlFor([{ name: 'own', vendor, subProcessor: 'self', country: 'NL' }], {
    limits:
      '{ firstByteMs: 5000, streamIdleMs: 2000, queueMs: 500, drainMs: 3000, attemptsMax: 1, bodyBytesMax: 5000 }',
    acme: 'requestsPerMinute: 100000',
  })
}

export const keysEnv = { VENDOR_KEY: 'vendor-secret', ACME_KEY: acmeKey, OTHER_KEY: otherKey }

export async function startOver(
  places: readonly Place[],
  extra: Parameters<typeof yamlFor>[1] = {},
): Promise<GatewayProcess> {
  return GatewayProcess.start(yamlFor(places, extra), keysEnv)
}
