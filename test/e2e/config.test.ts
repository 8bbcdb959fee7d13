import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import OpenAI from 'openai'
import { afterEach, describe, expect, test } from 'vitest'
import { FakeVendor } from './fake-vendor.ts'
import { freePort, GatewayProcess, runCli } from './gateway-process.ts'

const example = readFileSync(path.join(import.meta.dirname, '../../spillway.example.yaml'), 'utf8')
const ownListen = 'listen: { host: 127.0.0.1, port: 8420 }\n'
const acmeKey = 'sk-spw-acme-0123456789abcdefghijklmnopqrstuvwxyz0123'

let gateway: GatewayProcess | undefined
const vendors: FakeVendor[] = []

afterEach(async () => {
  await gateway?.dispose()
  gateway = undefined
  await Promise.all(vendors.splice(0).map((vendor) => vendor.down()))
})

/** The example, but for where it listens, so that it does not meet one that runs here in earnest. */
const serve = (text: string, env: Record<string, string>) => {
  expect(text).toContain(ownListen)
  return GatewayProcess.start(text.replace(ownListen, '').replace('dataDir: ./data\n', ''), env)
}

describe('the configuration of the example', () => {
  test('starts without a single secret: providers are off, each said with what to do, and nothing is served', {
    timeout: 30_000,
  }, async () => {
    gateway = await serve(example, { ACME_KEY: acmeKey })
    expect(gateway.said).toContain(
      'the provider azure-uk is switched off: the environment variable AZURE_OPENAI_API_KEY is not set',
    )
    expect(gateway.said).toMatch(/the provider google-nl is switched off: the file \S+google\.json is not there/)
    expect(gateway.said).toContain('the provider own-no is switched off')
    const client = new OpenAI({ apiKey: acmeKey, baseURL: gateway.url, maxRetries: 0 })
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(['chat-large'])
    await expect(
      client.chat.completions.create({ model: 'chat-large', messages: [{ role: 'user', content: 'hi' }] }),
    ).rejects.toMatchObject({ status: 503, code: 'unavailable' })
  })

  test('serves from Azure, Vertex and an own server once their secrets are there', { timeout: 30_000 }, async () => {
    const [azure, vertex, bedrock, own] = await Promise.all(Array.from({ length: 4 }, () => FakeVendor.start()))
    if (!azure || !vertex || !bedrock || !own) throw new Error('a vendor is missing')
    vendors.push(azure, vertex, bedrock, own)
    const at = (vendor: FakeVendor) => `http://127.0.0.1:${vendor.port}`
    const dir = mkdtempSync(path.join(tmpdir(), 'spillway-e2e-google-'))
    writeFileSync(path.join(dir, 'google.json'), 'a-bearer-token')
    const text = example
      .replace('https://NAME.openai.azure.com', at(azure))
      .replace('kind: vertex,', `kind: vertex, baseUrl: "${at(vertex)}",`)
      .replace('file: google.json', `file: ${JSON.stringify(path.join(dir, 'google.json'))}`)
      .replace('kind: bedrock,', `kind: bedrock, baseUrl: "${at(bedrock)}",`)
      .replace('http://127.0.0.1:9000', at(own))
      // Without a price the budget of acme keeps its requests away from the own server.
      .replace(', budgetUsdPerMonth: 500', '')
    gateway = await serve(text, {
      ACME_KEY: acmeKey,
      AZURE_OPENAI_API_KEY: 'azure-secret',
      AWS_BEARER_TOKEN_BEDROCK: 'aws-secret',
      OWN_KEY: 'own-secret',
    })
    const client = new OpenAI({ apiKey: acmeKey, baseURL: gateway.url, maxRetries: 0 })
    const answeredBy = new Set<string | null>()
    for (let i = 0; i < 60 && answeredBy.size < 3; i++) {
      const { response } = await client.chat.completions
        .create({ model: 'chat-large', messages: [{ role: 'user', content: `hi ${i}` }], max_tokens: 1 })
        .withResponse()
      answeredBy.add(response.headers.get('x-spillway-endpoint'))
    }
    expect([...answeredBy].sort()).toEqual(['chat-large/azure-uk', 'chat-large/google-nl', 'chat-large/own-no'])
    expect(azure.chats[0]?.path).toContain('/openai/deployments/gpt-oss-120b/chat/completions')
    expect(azure.chats[0]?.headers['api-key']).toBe('azure-secret')
    expect(vertex.chats[0]?.headers['authorization']).toBe('Bearer a-bearer-token')
    expect(own.chats[0]?.headers['authorization']).toBe('Bearer own-secret')
    // It is configured and no model uses it.
    expect(bedrock.chats).toHaveLength(0)
    rmSync(dir, { recursive: true })
  })

  test('under a budget in dollars serves from the places whose price is known', { timeout: 30_000 }, async () => {
    const [azure, own] = await Promise.all([FakeVendor.start(), FakeVendor.start()])
    vendors.push(azure, own)
    const text = example
      .replace('https://NAME.openai.azure.com', `http://127.0.0.1:${azure.port}`)
      .replace('http://127.0.0.1:9000', `http://127.0.0.1:${own.port}`)
    const env = { ACME_KEY: acmeKey, AZURE_OPENAI_API_KEY: 'azure-secret', OWN_KEY: 'own-secret' }
    gateway = await serve(text, env)
    const client = new OpenAI({ apiKey: acmeKey, baseURL: gateway.url, maxRetries: 0 })
    for (let i = 0; i < 10; i++)
      await client.chat.completions.create({ model: 'chat-large', messages: [{ role: 'user', content: `hi ${i}` }] })
    expect(azure.chats).toHaveLength(10)
    expect(own.chats).toHaveLength(0)
  })

  test('fails its check for each secret that is not there, at its line', { timeout: 30_000 }, async () => {
    const dir = mkdtempSync(path.join(tmpdir(), 'spillway-e2e-check-'))
    const file = path.join(dir, 'spillway.yaml')
    writeFileSync(file, example)
    const without = await runCli(['config', 'check', file, '--json'], dir)
    expect(without.code).toBe(1)
    const { issues } = JSON.parse(without.out) as { issues: { path: string; line: number; message: string }[] }
    expect(issues.map(({ path: place }) => place)).toEqual([
      'providers.azure-uk.apiKey',
      'providers.google-nl.credentials',
      'providers.aws-us.credentials',
      'providers.own-no.apiKey',
      'tenants.acme.keys[0]',
    ])
    const lines = example.split('\n')
    for (const { line, path: place } of issues) expect(lines[line - 1]).toContain(place.split('.')[1])
    writeFileSync(path.join(dir, 'google.json'), 'a-bearer-token')
    const env = { AZURE_OPENAI_API_KEY: 'a', AWS_BEARER_TOKEN_BEDROCK: 'b', OWN_KEY: 'c', ACME_KEY: acmeKey }
    const withAll = await runCli(['config', 'check', '--config', file], dir, env)
    expect(withAll).toMatchObject({ code: 0, err: '' })
    rmSync(dir, { recursive: true })
  })

  test('names the port that is taken, and how to take another', { timeout: 30_000 }, async () => {
    const vendor = await FakeVendor.start()
    vendors.push(vendor)
    const dir = mkdtempSync(path.join(tmpdir(), 'spillway-e2e-port-'))
    const file = path.join(dir, 'spillway.yaml')
    writeFileSync(
      file,
      example.replace(
        ownListen,
        `listen: { host: 127.0.0.1, port: ${vendor.port} }\nmetrics: { port: ${await freePort()} }\n`,
      ),
    )
    const { code, err } = await runCli(['up', '--config', file], dir)
    expect(code).toBe(1)
    expect(err).toContain(`cannot listen on 127.0.0.1:${vendor.port}: the port is in use`)
    rmSync(dir, { recursive: true })
  })
})
