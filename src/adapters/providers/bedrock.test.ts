import { createHash, createHmac } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ProviderConfig } from '../../config/config.ts'
import { bedrockWire } from './bedrock.ts'
import { openProvider } from './open-provider.ts'
import { clock, providerContract } from './provider.contract.ts'
import { signingCredentials } from './signing-credentials.ts'

const config = (more: object = {}): ProviderConfig & { kind: 'bedrock' } => ({
  kind: 'bedrock',
  region: 'eu-north-1',
  subProcessor: 'aws',
  country: 'SE',
  ...more,
})

/** AWS's own example, as its test suite for signature version 4 has it. */
const secretKey = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
const stubIdentity = () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDEXAMPLE')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', secretKey)
}

providerContract(
  'Bedrock with an API key',
  (origin, limits, onProblem) => openProvider(config({ baseUrl: origin }), 'secret', limits, clock, onProblem),
  { header: 'authorization', value: /^Bearer secret$/ },
)

providerContract(
  'Bedrock with signed requests',
  (origin, limits, onProblem) => {
    stubIdentity()
    return openProvider(config({ baseUrl: origin }), undefined, limits, clock, onProblem)
  },
  {
    header: 'authorization',
    value: /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/20270115\/eu-north-1\/bedrock\/aws4_request, SignedHeaders=/,
  },
)

describe('Bedrock', () => {
  test.each([
    ['eu-north-1', undefined, 'https://bedrock-runtime.eu-north-1.amazonaws.com', '/openai/v1'],
    ['eusc-de-east-1', undefined, 'https://bedrock-runtime.eusc-de-east-1.amazonaws.eu', '/openai/v1'],
    ['cn-north-1', undefined, 'https://bedrock-runtime.cn-north-1.amazonaws.com.cn', '/openai/v1'],
    ['x', 'https://bedrock-mantle.eu-north-1.api.aws/v1', 'https://bedrock-mantle.eu-north-1.api.aws', '/v1'],
  ])('in %s (%s) is asked at %s%s', async (region, baseUrl, origin, base) => {
    const wire = await bedrockWire(config({ region, ...(baseUrl && { baseUrl }) }), 'secret', clock)
    expect(wire.origin).toBe(origin)
    expect(wire.path('chat/completions', 'm')).toBe(`${base}/chat/completions`)
  })
})

interface Signed {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Signature version 4 by AWS's description of it, from the names of the signed headers on. */
function signatureOf(request: Signed, names: readonly string[], date: string, region: string, service: string): string {
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
  // Each segment of the path as it is sent, encoded once more.
  const path = request.path.split('/').map(encodeURIComponent).join('/')
  const canonical = [
    request.method,
    path,
    request.query,
    ...names.map((name) => `${name}:${request.headers[name]}`),
    '',
    names.join(';'),
    sha256(request.body),
  ].join('\n')
  const scope = `${date.slice(0, 8)}/${region}/${service}/aws4_request`
  const key = [region, service, 'aws4_request'].reduce(hmac, hmac(`AWS4${secretKey}`, date.slice(0, 8)))
  return hmac(key, `AWS4-HMAC-SHA256\n${date}\n${scope}\n${sha256(canonical)}`).toString('hex')
}

describe('a signature', () => {
  let dir: string
  beforeEach(() => {
    dir = mkdtempSync(path.join(tmpdir(), 'spillway-aws-'))
    vi.stubEnv('HOME', dir)
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true')
  })
  afterEach(() => {
    vi.unstubAllEnvs()
    rmSync(dir, { recursive: true })
  })

  test("is what AWS's example says (get-vanilla), by the check below", () => {
    const headers = { host: 'example.amazonaws.com', 'x-amz-date': '20150830T123600Z' }
    const request = { method: 'GET', path: '/', query: '', headers, body: '' }
    expect(signatureOf(request, Object.keys(headers), headers['x-amz-date'], 'us-east-1', 'service')).toBe(
      '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31',
    )
  })

  test.each([
    ['bedrock', '/openai/v1/chat/completions'],
    ['bedrock', '/model/openai.gpt-oss-120b-1%3A0/converse'],
    ['bedrock-mantle', '/v1/chat/completions'],
  ])('for %s of %s covers host, time, body and token, and the path encoded twice', async (service, pathname) => {
    stubIdentity()
    vi.stubEnv('AWS_SESSION_TOKEN', 'session')
    const credentials = await signingCredentials({ region: 'eu-north-1', service, clock })
    const body = '{"model":"é"}'
    const flat = await credentials.headers({
      method: 'POST',
      origin: 'https://host.test:8443',
      path: pathname,
      body: Buffer.from(body),
    })
    const sent: Record<string, string> = { host: 'host.test:8443', 'content-type': 'application/json' }
    for (let i = 0; i < flat.length; i += 2) sent[flat[i] as string] = flat[i + 1] as string
    const [, names = '', signature] = /SignedHeaders=([^,]+), Signature=(\w+)$/.exec(sent['authorization'] ?? '') ?? []
    expect(names.split(';')).toEqual(expect.arrayContaining(['host', 'x-amz-date', 'x-amz-security-token']))
    expect(sent).toMatchObject({ 'x-amz-date': '20270115T080000Z', 'x-amz-security-token': 'session' })
    const request = { method: 'POST', path: pathname, query: '', headers: sent, body }
    expect(signature).toBe(signatureOf(request, names.split(';'), '20270115T080000Z', 'eu-north-1', service))
  })

  test('cannot be had without an identity, which is said in words', async () => {
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_PROFILE']) vi.stubEnv(name, undefined)
    const credentials = await signingCredentials({ region: 'eu-north-1', service: 'bedrock', clock })
    await expect(
      credentials.headers({ method: 'POST', origin: 'https://host.test', path: '/', body: undefined }),
    ).rejects.toThrow(/credentials/i)
  })
})
