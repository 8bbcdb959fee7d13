import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { parseConfig } from '../config/parse.ts'
import { discoverCapacity } from './discover.ts'
import { foundYaml, notYetIn } from './found-yaml.ts'

let server: Server | undefined
afterEach(() => server?.close())

const nowhere = { servers: [], homeDir: '/nonexistent' }
const everything = {
  OPENAI_API_KEY: 'sk-secret',
  AZURE_OPENAI_ENDPOINT: 'https://user:secret@me.openai.azure.com/?code=secret',
  AZURE_OPENAI_API_KEY: 'azure-secret',
  GOOGLE_APPLICATION_CREDENTIALS: '/keys/google.json',
  GOOGLE_CLOUD_PROJECT: 'my-project',
  GOOGLE_CLOUD_LOCATION: 'europe-west4',
  AWS_BEARER_TOKEN_BEDROCK: 'aws-secret',
  AWS_REGION: 'eu-west-2',
}
const check = (text: string) => parseConfig(text, { fileDir: '/', joinPath: (_dir, file) => file })

/** A local server of the OpenAI dialect with these models. */
async function localServer(...models: string[]) {
  server = createServer((_request, response) => response.end(JSON.stringify({ data: models.map((id) => ({ id })) })))
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve))
  return { what: 'vLLM', name: 'vllm', port: (server.address() as AddressInfo).port }
}

describe('capacity at hand', () => {
  test('is found in the environment without showing a secret', async () => {
    const found = await discoverCapacity(everything, nowhere)
    expect(found.map(({ name }) => name)).toEqual(['openai', 'azure', 'google', 'aws'])
    expect(JSON.stringify(found)).not.toContain('secret')
    expect(foundYaml(found, true)).not.toContain('secret')
  })

  test('knows the country of a region, and asks for it where it cannot be known', async () => {
    const found = await discoverCapacity(everything, nowhere)
    expect(found.map(({ name, fields }) => `${name} ${fields['country']}`)).toEqual([
      'openai <COUNTRY>',
      'azure <COUNTRY>',
      'google NL',
      'aws GB',
    ])
  })

  test('never shows credentials that were put into a variable for a file name', async () => {
    const found = await discoverCapacity({ GOOGLE_APPLICATION_CREDENTIALS: '{"private_key":"secret"}' }, nowhere)
    expect(found[0]?.fields['credentials']).toEqual({ env: 'GOOGLE_APPLICATION_CREDENTIALS' })
    expect(JSON.stringify(found)).not.toContain('secret')
  })

  test.each([
    ['Azure without a key', { AZURE_OPENAI_ENDPOINT: 'https://me.openai.azure.com' }, { credentials: 'entra' }],
    ['AWS keys', { AWS_ACCESS_KEY_ID: 'id', AWS_REGION: 'us-east-1' }, { region: 'us-east-1', country: 'US' }],
    ['AWS without a region', { AWS_PROFILE: 'me' }, { region: '<REGION>', country: '<COUNTRY>' }],
    ['an address that is none', { AZURE_OPENAI_ENDPOINT: 'me' }, { baseUrl: '<ENDPOINT>' }],
  ])('is found as far as it can be: %s', async (_what, env, fields) => {
    expect((await discoverCapacity(env, nowhere))[0]?.fields).toMatchObject(fields)
  })

  test('is found at a server on this machine, with its models', async () => {
    const vllm = await localServer('org/model:7b', 'no')
    const found = await discoverCapacity({}, { ...nowhere, servers: [vllm] })
    expect(found).toMatchObject([
      { what: `a server on port ${vllm.port}, vLLM's usual one`, models: ['org/model:7b', 'no'] },
    ])
  })

  test('is none where there is none', async () => {
    const nobody = { what: 'vLLM', name: 'vllm', port: 9 }
    expect(await discoverCapacity({}, { ...nowhere, servers: [nobody] })).toEqual([])
  })
})

describe('the configuration that is printed for it', () => {
  const printed = async () => {
    const vllm = await localServer('org/model:7b', 'no')
    return foundYaml(await discoverCapacity(everything, { ...nowhere, servers: [vllm] }), true)
  }

  test('is valid once its placeholders are filled in', async () => {
    const filled = (await printed())
      .replaceAll('<COUNTRY>', 'GB')
      .replaceAll('<MODEL>', 'gpt-oss-120b')
      .replaceAll('<DEPLOYMENT>', 'gpt-oss-120b')
    const result = check(filled)
    expect(result).toMatchObject({ kind: 'valid', warnings: [] })
    if (result.kind !== 'valid') return
    expect(Object.keys(result.config.models)).toEqual(['chat', 'org/model:7b', 'no'])
    expect(result.config.models['chat']?.endpoints.map(({ provider }) => provider)).toEqual([
      'openai',
      'azure',
      'google',
      'aws',
    ])
    expect(result.config.providers['azure']).toMatchObject({ baseUrl: 'https://me.openai.azure.com' })
  })

  test('names every placeholder that was left, and nothing else', async () => {
    const result = check(await printed())
    expect(result.kind === 'invalid' ? result.issues.map(({ path, message }) => `${path}: ${message}`) : []).toEqual([
      'location.country: put the real value in place of <COUNTRY>',
      'providers.openai.country: put the real value in place of <COUNTRY>',
      'providers.azure.country: put the real value in place of <COUNTRY>',
      'providers.vllm.country: put the real value in place of <COUNTRY>',
      'models.chat.endpoints[0].upstreamModel: put the real value in place of <MODEL>',
      'models.chat.endpoints[1].upstreamModel: put the real value in place of <DEPLOYMENT>',
      'models.chat.endpoints[2].upstreamModel: put the real value in place of <MODEL>',
      'models.chat.endpoints[3].upstreamModel: put the real value in place of <MODEL>',
    ])
  })

  test('leaves out what stands in the configuration already', async () => {
    const vllm = await localServer('m')
    const found = await discoverCapacity(everything, { ...nowhere, servers: [vllm] })
    const filled = foundYaml(found, true).replaceAll(/<[A-Z]+>/g, 'GB')
    const result = check(filled)
    if (result.kind !== 'valid') throw new Error(JSON.stringify(result.issues))
    expect(notYetIn(result.config, found)).toEqual([])
    const { openai: _gone, ...others } = result.config.providers
    expect(notYetIn({ ...result.config, providers: others }, found).map(({ name }) => name)).toEqual(['openai'])
  })
})
