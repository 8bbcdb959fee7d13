import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'
import { request } from 'undici'

/** Capacity that is at hand but stands in no file yet. */
export interface FoundCapacity {
  /** What was seen, for a person. */
  readonly what: string
  /** The key under `providers`. */
  readonly name: string
  /** What stands after it, in YAML's short form. */
  readonly provider: string
  /** Models it says it has; empty where it was not asked. */
  readonly models: readonly string[]
}

interface LocalServer {
  readonly what: string
  readonly name: string
  readonly port: number
}

/** The ports these servers listen on unless told otherwise. */
const localServers: readonly LocalServer[] = [
  { what: 'Ollama', name: 'ollama', port: 11_434 },
  { what: 'vLLM', name: 'vllm', port: 8_000 },
  { what: 'llama.cpp', name: 'llama-cpp', port: 8_080 },
  { what: 'LM Studio', name: 'lm-studio', port: 1_234 },
]
const askMs = 400

/**
 * Looks for real capacity: keys and credentials in the environment, servers on this machine's usual ports. Nothing is
 * sent to a vendor, and nothing is routed there before it stands in the file.
 */
export async function discoverCapacity(
  env: Readonly<Record<string, string | undefined>>,
  options: { readonly servers?: readonly LocalServer[]; readonly homeDir?: string } = {},
): Promise<readonly FoundCapacity[]> {
  const local = await Promise.all((options.servers ?? localServers).map(askServer))
  return [...inEnvironment(env, options.homeDir ?? homedir()), ...local.filter((found) => found !== undefined)]
}

function inEnvironment(env: Readonly<Record<string, string | undefined>>, homeDir: string): FoundCapacity[] {
  const found: FoundCapacity[] = []
  if (env['OPENAI_API_KEY']) {
    found.push({
      what: 'OPENAI_API_KEY',
      name: 'openai',
      models: [],
      provider:
        '{ kind: openai-compatible, baseUrl: "https://api.openai.com/v1", apiKey: { env: OPENAI_API_KEY }, subProcessor: openai, country: US }',
    })
  }
  const azure = env['AZURE_OPENAI_ENDPOINT']
  if (azure) {
    const credentials = env['AZURE_OPENAI_API_KEY'] ? 'apiKey: { env: AZURE_OPENAI_API_KEY }' : 'credentials: entra'
    found.push({
      what: 'AZURE_OPENAI_ENDPOINT',
      name: 'azure',
      models: [],
      provider: `{ kind: azure, baseUrl: ${JSON.stringify(azure.replace(/\/+$/, ''))}, ${credentials}, subProcessor: microsoft, country: COUNTRY }`,
    })
  }
  const googleFile =
    env['GOOGLE_APPLICATION_CREDENTIALS'] ??
    existing(path.join(homeDir, '.config/gcloud/application_default_credentials.json'))
  if (googleFile) {
    const project = env['GOOGLE_CLOUD_PROJECT'] ?? env['GCLOUD_PROJECT'] ?? 'PROJECT'
    found.push({
      what: 'Google credentials',
      name: 'google',
      models: [],
      provider: `{ kind: vertex, project: ${project}, location: europe-west4, credentials: { file: ${JSON.stringify(googleFile)} }, subProcessor: google-cloud, country: NL }`,
    })
  }
  const region = env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION'] ?? 'us-east-1'
  if (env['AWS_BEARER_TOKEN_BEDROCK']) {
    found.push({
      what: 'AWS_BEARER_TOKEN_BEDROCK',
      name: 'aws',
      models: [],
      provider: `{ kind: bedrock, region: ${region}, credentials: { env: AWS_BEARER_TOKEN_BEDROCK }, subProcessor: aws, country: COUNTRY }`,
    })
  } else if (env['AWS_ACCESS_KEY_ID'] || env['AWS_PROFILE'] || existing(path.join(homeDir, '.aws/credentials'))) {
    found.push({
      what: 'AWS credentials',
      name: 'aws',
      models: [],
      provider: `{ kind: bedrock, region: ${region}, subProcessor: aws, country: COUNTRY }`,
    })
  }
  return found
}

function existing(file: string): string | undefined {
  return existsSync(file) ? file : undefined
}

async function askServer({ what, name, port }: LocalServer): Promise<FoundCapacity | undefined> {
  try {
    const answer = await request(`http://127.0.0.1:${port}/v1/models`, {
      headersTimeout: askMs,
      bodyTimeout: askMs,
      signal: AbortSignal.timeout(askMs),
    })
    const body = (await answer.body.json()) as { data?: { id?: unknown }[] }
    if (answer.statusCode !== 200 || !Array.isArray(body.data)) return undefined
    const models = body.data.flatMap(({ id }) => (typeof id === 'string' ? [id] : []))
    return {
      what: `${what} on port ${port}`,
      name,
      models,
      provider: `{ kind: openai-compatible, baseUrl: "http://127.0.0.1:${port}/v1", subProcessor: self, country: COUNTRY }`,
    }
  } catch {
    return undefined
  }
}

/** YAML to paste. */
export function foundYaml(found: readonly FoundCapacity[]): string {
  const width = Math.max(...found.map(({ name }) => name.length)) + 1
  const lines = [
    'providers:',
    ...found.map(({ name, provider }) => `  ${`${name}:`.padEnd(width)} ${provider}`),
    'models:',
    '  MODEL:',
    '    endpoints:',
  ]
  for (const { name, models } of found)
    lines.push(`      - { provider: ${name}, upstreamModel: ${JSON.stringify(models[0] ?? 'MODEL-OR-DEPLOYMENT')} }`)
  return lines.join('\n')
}
