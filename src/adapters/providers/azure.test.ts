import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { FakeVendor } from '../../../test/e2e/fake-vendor.ts'
import type { ProviderConfig } from '../../config/config.ts'
import { azureWire } from './azure.ts'
import { openProvider } from './open-provider.ts'
import { clock, limits, providerContract } from './provider.contract.ts'
import { chatCall, RecordedAnswer } from './testing.ts'

const config = (baseUrl: string, path: 'deployment' | 'v1' = 'deployment'): ProviderConfig & { kind: 'azure' } => ({
  kind: 'azure',
  baseUrl,
  path,
  apiVersion: '2024-10-21',
  subProcessor: 'microsoft',
  country: 'GB',
})

for (const path of ['deployment', 'v1'] as const) {
  providerContract(
    `Azure by its ${path} path`,
    (origin, limits, onProblem) => openProvider(config(origin, path), 'secret', limits, clock, onProblem),
    { header: 'api-key', value: /^secret$/ },
  )
}

describe('Azure', () => {
  const host = 'https://name.openai.azure.com'
  test.each([
    ['deployment', host, '/openai/deployments/gpt%204%2F0/chat/completions?api-version=2024-10-21'],
    ['deployment', `${host}/base/`, '/base/openai/deployments/gpt%204%2F0/chat/completions?api-version=2024-10-21'],
    ['v1', host, '/openai/v1/chat/completions'],
  ] as const)('by its %s path at %s is asked at %s', async (path, baseUrl, expected) => {
    const wire = await azureWire(config(baseUrl, path), 'secret', clock)
    expect(wire.origin).toBe(host)
    expect(wire.path('chat/completions', 'gpt 4/0')).toBe(expected)
  })
})

describe('an identity of Entra', () => {
  let vendor: FakeVendor
  /** Where App Service and Container Apps hand out tokens of the machine's identity. */
  let identity: FakeVendor
  let refuses = false
  beforeAll(async () => {
    vendor = await FakeVendor.start()
    identity = await FakeVendor.start()
    identity.behaviour = {
      script: ({ seen, response }) => {
        const { searchParams } = new URL(seen.path, identity.origin)
        const good =
          !refuses &&
          seen.headers['x-identity-header'] === 'proof' &&
          searchParams.get('resource') === 'https://cognitiveservices.azure.com'
        const expires_on = String(Math.floor(Date.now() / 1_000) + 3_600)
        const token = { access_token: 'eyJ.entra', expires_on, resource: '', token_type: 'Bearer' }
        const problem = { error: 'unauthorized_client', error_description: 'no such identity' }
        response
          .writeHead(good ? 200 : 403, { 'content-type': 'application/json' })
          .end(JSON.stringify(good ? token : problem))
      },
    }
  })
  afterAll(async () => {
    await vendor.down()
    await identity.down()
  })
  beforeEach(() => {
    vi.stubEnv('IDENTITY_ENDPOINT', `${identity.origin}/msi/token`)
    vi.stubEnv('IDENTITY_HEADER', 'proof')
    refuses = false
    identity.seen.length = 0
    vendor.seen.length = 0
  })
  afterEach(() => {
    vi.unstubAllEnvs()
  })

  // First: the library keeps a token that it got for the whole process.
  test('that cannot be had fails the request as ours, in one line for the operator', async () => {
    refuses = true
    const problems: string[] = []
    const provider = await openProvider(config(vendor.origin), undefined, limits, clock, (one) => problems.push(one))
    const { ended } = new RecordedAnswer(provider, chatCall())
    expect(await ended).toMatchObject({ kind: 'failed', failure: { kind: 'unauthorized' } })
    await expect.poll(() => problems.length, { timeout: 15_000 }).toBe(1)
    expect(problems[0]).toMatch(/^its credentials cannot be had: [^\n]+$/)
    expect(vendor.seen).toEqual([])
    await provider.close()
  })

  test('gives one token for many requests, sent as a bearer', async () => {
    const realClock = { ...clock, wallMs: Date.now }
    const provider = await openProvider(config(vendor.origin), undefined, limits, realClock)
    const answers = Array.from({ length: 20 }, () => new RecordedAnswer(provider, chatCall()))
    for (const { ended } of answers) expect(await ended).toMatchObject({ kind: 'whole' })
    expect(vendor.seen.map(({ headers }) => headers.authorization)).toEqual(Array(20).fill('Bearer eyJ.entra'))
    expect(vendor.seen[0]?.headers['api-key']).toBeUndefined()
    expect(identity.seen).toHaveLength(1)
    await provider.close()
  })
})
