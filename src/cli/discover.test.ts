import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { parseConfig } from '../config/parse.ts'
import { discoverCapacity, foundYaml } from './discover.ts'

let server: Server | undefined
afterEach(() => server?.close())

const nowhere = { servers: [], homeDir: '/nonexistent' }

describe('capacity at hand', () => {
  test('is found in the environment without showing a secret', async () => {
    const env = {
      OPENAI_API_KEY: 'sk-secret',
      AZURE_OPENAI_ENDPOINT: 'https://me.openai.azure.com/',
      AZURE_OPENAI_API_KEY: 'azure-secret',
      GOOGLE_APPLICATION_CREDENTIALS: '/keys/google.json',
      GOOGLE_CLOUD_PROJECT: 'my-project',
      AWS_BEARER_TOKEN_BEDROCK: 'aws-secret',
      AWS_REGION: 'eu-west-2',
    }
    const found = await discoverCapacity(env, nowhere)
    expect(found.map(({ name }) => name)).toEqual(['openai', 'azure', 'google', 'aws'])
    const yaml = foundYaml(found)
    expect(yaml).not.toContain('secret')
    const text = `location: { country: NL, subProcessor: self }\n${yaml.replaceAll('COUNTRY', 'GB')}`
    expect(parseConfig(text, { fileDir: '/', joinPath: (_dir, file) => file })).toMatchObject({ kind: 'valid' })
  })

  test('is found at a server on this machine, with its models', async () => {
    server = createServer((_request, response) => response.end(JSON.stringify({ data: [{ id: 'llama' }] })))
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const found = await discoverCapacity({}, { ...nowhere, servers: [{ what: 'vLLM', name: 'vllm', port }] })
    expect(found).toMatchObject([{ what: `vLLM on port ${port}`, models: ['llama'] }])
  })

  test('is none where there is none', async () => {
    expect(await discoverCapacity({}, nowhere)).toEqual([])
  })
})
