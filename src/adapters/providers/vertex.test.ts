import { createVerify, generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { FakeVendor, type ScriptedExchange } from '../../../test/e2e/fake-vendor.ts'
import type { ProviderConfig } from '../../config/config.ts'
import { openProvider } from './open-provider.ts'
import { clock, limits, providerContract } from './provider.contract.ts'
import { chatCall, RecordedAnswer } from './testing.ts'
import { vertexWire } from './vertex.ts'

const config = (more: object = {}): ProviderConfig & { kind: 'vertex' } => ({
  kind: 'vertex',
  project: 'p',
  location: 'europe-west4',
  subProcessor: 'google-cloud',
  country: 'NL',
  ...more,
})
/** The library knows only the real time. */
const realClock = { ...clock, wallMs: Date.now }
const keys = generateKeyPairSync('rsa', { modulusLength: 2048 })
const email = 'spillway@test.iam.gserviceaccount.com'
const json = (response: ScriptedExchange['response'], status: number, value: unknown) =>
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))

/** Google's token endpoint for service accounts (RFC 7523), which looks at what it is given. */
function exchanges({ seen, response }: ScriptedExchange): void {
  const form = new URLSearchParams(seen.body)
  const [head = '', claims = '', signature = ''] = (form.get('assertion') ?? '').split('.')
  const signed = createVerify('RSA-SHA256').update(`${head}.${claims}`).verify(keys.publicKey, signature, 'base64url')
  const { iss, aud, scope, iat, exp } = JSON.parse(Buffer.from(claims, 'base64url').toString())
  const good =
    form.get('grant_type') === 'urn:ietf:params:oauth:grant-type:jwt-bearer' &&
    signed &&
    iss === email &&
    aud === `http://${seen.headers.host}/token` &&
    scope === 'https://www.googleapis.com/auth/cloud-platform' &&
    iat === Math.floor(clock.wallMs() / 1_000) &&
    exp === iat + 3_600
  if (good) json(response, 200, { access_token: 'ya29.account', expires_in: 3_600, token_type: 'Bearer' })
  else json(response, 400, { error: 'invalid_grant', error_description: 'Invalid JWT' })
}

let google: FakeVendor
beforeAll(async () => {
  google = await FakeVendor.start()
})
afterAll(() => google.down())
beforeEach(() => {
  google.behaviour = { script: exchanges }
  google.seen.length = 0
})

const serviceAccount = (key = keys.privateKey) =>
  JSON.stringify({
    type: 'service_account',
    client_email: email,
    private_key: key.export({ type: 'pkcs8', format: 'pem' }),
    private_key_id: 'k1',
    token_uri: `${google.origin}/token`,
  })

providerContract(
  'Vertex with a service account',
  (origin, limits, onProblem) => openProvider(config({ baseUrl: origin }), serviceAccount(), limits, clock, onProblem),
  { header: 'authorization', value: /^Bearer ya29\.account$/ },
)

describe('Vertex', () => {
  test.each([
    ['europe-west4', 'https://europe-west4-aiplatform.googleapis.com'],
    ['eu', 'https://aiplatform.eu.rep.googleapis.com'],
    ['global', 'https://aiplatform.googleapis.com'],
  ])('in %s is asked at %s', async (location, origin) => {
    const wire = await vertexWire(config({ location }), 'ya29.ready', clock)
    expect(wire.origin).toBe(origin)
    expect(wire.path('chat/completions', 'google/gemini')).toBe(
      `/v1/projects/p/locations/${location}/endpoints/openapi/chat/completions`,
    )
  })

  test('at an endpoint of its own is asked there', async () => {
    const baseUrl = 'https://1.europe-west4-2.prediction.vertexai.goog/v1/projects/p/locations/l/endpoints/7'
    const wire = await vertexWire(config({ baseUrl }), 'ya29.ready', clock)
    expect(wire.path('chat/completions', 'm')).toBe('/v1/projects/p/locations/l/endpoints/7/chat/completions')
  })
})

describe('credentials of Google', () => {
  let vendor: FakeVendor
  let dir: string
  beforeAll(async () => {
    vendor = await FakeVendor.start()
    dir = mkdtempSync(path.join(tmpdir(), 'spillway-google-'))
  })
  afterAll(async () => {
    await vendor.down()
    rmSync(dir, { recursive: true })
  })
  beforeEach(() => {
    vendor.seen.length = 0
  })
  afterEach(() => {
    vi.unstubAllEnvs()
  })

  const ask = async (secret: string | undefined, times = 1, by = clock) => {
    const problems: string[] = []
    const provider = await openProvider(config({ baseUrl: vendor.origin }), secret, limits, by, (problem) =>
      problems.push(problem),
    )
    const answers = Array.from({ length: times }, () => new RecordedAnswer(provider, chatCall()))
    const endings = await Promise.all(answers.map(({ ended }) => ended))
    await provider.close()
    return { endings, problems, shown: vendor.seen.map(({ headers }) => headers.authorization) }
  }

  test('of a service account are exchanged once for many requests', async () => {
    const { shown } = await ask(serviceAccount(), 50)
    expect(shown).toEqual(Array(50).fill('Bearer ya29.account'))
    expect(google.seen).toHaveLength(1)
  })

  test('that Google does not take fail the request as ours, with words for the operator', async () => {
    const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
    const { endings, problems, shown } = await ask(serviceAccount(stranger), 20)
    for (const ending of endings) expect(ending).toMatchObject({ kind: 'failed', failure: { kind: 'unauthorized' } })
    expect(problems).toEqual([
      `its credentials cannot be had: ${google.origin} gives no token (status 400, invalid_grant); look at the service account`,
    ])
    expect(shown).toEqual([])
    expect(google.seen).toHaveLength(1)
  })

  test.each<[string, (exchange: ScriptedExchange) => void, RegExp]>([
    ['redirects', ({ response }) => response.writeHead(307, { location: '/x' }).end(), /status 307/],
    ['sends HTML', ({ response }) => response.writeHead(200).end('<html>'), /gives no token \(status 200\)/],
    ['never stops', ({ response }) => response.writeHead(200).end('x'.repeat(100_000)), /too large/],
    ['hangs up', ({ socket }) => socket.destroy(), /cannot be reached/],
  ])('from an endpoint that %s cannot be had', async (_what, script, words) => {
    google.behaviour = { script }
    const { endings, problems } = await ask(serviceAccount())
    expect(endings).toMatchObject([{ failure: { kind: 'unauthorized' } }])
    expect(problems).toEqual([expect.stringMatching(words)])
  })

  test('of a machine come from its metadata server', async () => {
    vi.stubEnv('GCE_METADATA_HOST', `127.0.0.1:${google.port}`)
    vi.stubEnv('METADATA_SERVER_DETECTION', 'assume-present')
    vi.stubEnv('HOME', dir)
    google.behaviour = {
      script: ({ seen, response }) => {
        response.setHeader('Metadata-Flavor', 'Google')
        if (seen.headers['metadata-flavor'] !== 'Google') return json(response, 403, {})
        if (seen.path.includes('/token'))
          return json(response, 200, { access_token: 'ya29.machine', expires_in: 3_599 })
        return json(response, 200, {})
      },
    }
    const { shown, problems } = await ask(undefined, 10, realClock)
    expect(problems).toEqual([])
    expect(shown).toEqual(Array(10).fill('Bearer ya29.machine'))
    expect(google.seen.filter(({ path: asked }) => asked.includes('/token'))).toHaveLength(1)
  })

  test('of a workload identity are those of another cloud, exchanged', async () => {
    const subject = path.join(dir, 'subject-token')
    writeFileSync(subject, 'token-of-another-cloud')
    google.behaviour = {
      script: ({ seen, response }) => {
        const given = new URLSearchParams(seen.body).get('subject_token')
        if (given !== 'token-of-another-cloud') return json(response, 400, { error: 'invalid_request' })
        return json(response, 200, {
          access_token: 'ya29.federated',
          issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
          token_type: 'Bearer',
          expires_in: 3_600,
        })
      },
    }
    const { shown, problems } = await ask(
      JSON.stringify({
        type: 'external_account',
        audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/aws',
        subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
        token_url: `${google.origin}/v1/token`,
        credential_source: { file: subject },
      }),
      10,
      realClock,
    )
    expect(problems).toEqual([])
    expect(shown).toEqual(Array(10).fill('Bearer ya29.federated'))
  })

  test('that are a token are sent as they are', async () => {
    expect((await ask('ya29.ready')).shown).toEqual(['Bearer ya29.ready'])
  })

  test.each([
    ['{ not json', 'is not JSON'],
    ['{"type":"gdch_service_account"}', 'is of type "gdch_service_account"'],
  ])('in the file %s are refused', async (file, words) => {
    await expect(vertexWire(config(), file, clock)).rejects.toThrow(words)
  })
})
