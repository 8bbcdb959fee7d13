import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'
import { request } from 'undici'
import type { ProviderConfig } from '../config/config.ts'
import { countryOfRegion } from './vendor-regions.ts'

/** Capacity that is at hand. */
export interface FoundCapacity {
  /** What was seen, for a person. */
  readonly what: string
  /** Its key under `providers`. */
  readonly name: string
  readonly kind: ProviderConfig['kind']
  /** The other keys of the provider in their order; what only its owner knows is a placeholder such as `<COUNTRY>`. */
  readonly fields: Readonly<Record<string, unknown>>
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
const modelsMax = 5

/**
 * Looks for real capacity: keys and credentials in the environment and in their usual files, servers on this machine's
 * usual ports. Nothing is sent to a vendor, no secret is read, and nothing is routed there.
 */
export async function discoverCapacity(
  env: Readonly<Record<string, string | undefined>>,
  options: { readonly servers?: readonly LocalServer[]; readonly homeDir?: string } = {},
): Promise<readonly FoundCapacity[]> {
  const local = await Promise.all((options.servers ?? localServers).map(askServer))
  return [
    ...[openAi(env), azure(env), google(env, options.homeDir ?? homedir()), aws(env, options.homeDir ?? homedir())],
    ...local,
  ].filter((found) => found !== undefined)
}

type Env = Readonly<Record<string, string | undefined>>

function openAi(env: Env): FoundCapacity | undefined {
  if (!env['OPENAI_API_KEY']) return undefined
  return {
    what: 'OPENAI_API_KEY',
    name: 'openai',
    kind: 'openai-compatible',
    // Where OpenAI processes is a property of the project that the key belongs to.
    fields: {
      baseUrl: 'https://api.openai.com/v1',
      apiKey: { env: 'OPENAI_API_KEY' },
      subProcessor: 'openai',
      country: '<COUNTRY>',
    },
    models: [],
  }
}

function azure(env: Env): FoundCapacity | undefined {
  const endpoint = env['AZURE_OPENAI_ENDPOINT']
  if (!endpoint) return undefined
  return {
    what: 'AZURE_OPENAI_ENDPOINT',
    name: 'azure',
    kind: 'azure',
    fields: {
      baseUrl: plainAddress(endpoint) ?? '<ENDPOINT>',
      ...(env['AZURE_OPENAI_API_KEY'] ? { apiKey: { env: 'AZURE_OPENAI_API_KEY' } } : { credentials: 'entra' }),
      subProcessor: 'microsoft',
      country: '<COUNTRY>',
    },
    models: [],
  }
}

function google(env: Env, homeDir: string): FoundCapacity | undefined {
  const named = env['GOOGLE_APPLICATION_CREDENTIALS']
  const file = named || existing(path.join(homeDir, '.config/gcloud/application_default_credentials.json'))
  if (!file) return undefined
  const location = plainWord(env['GOOGLE_CLOUD_LOCATION'] ?? env['GOOGLE_CLOUD_REGION']) ?? '<REGION>'
  return {
    what: named ? 'GOOGLE_APPLICATION_CREDENTIALS' : 'Google credentials in your home directory',
    name: 'google',
    kind: 'vertex',
    fields: {
      project: plainWord(env['GOOGLE_CLOUD_PROJECT'] ?? env['GCLOUD_PROJECT']) ?? '<PROJECT>',
      location,
      // Some put the credentials themselves into the variable.
      credentials: file.startsWith('{') ? { env: 'GOOGLE_APPLICATION_CREDENTIALS' } : { file: path.resolve(file) },
      subProcessor: 'google-cloud',
      country: countryOfRegion('vertex', location) ?? '<COUNTRY>',
    },
    models: [],
  }
}

function aws(env: Env, homeDir: string): FoundCapacity | undefined {
  const bearer = env['AWS_BEARER_TOKEN_BEDROCK']
  const file = existing(path.join(homeDir, '.aws/credentials'))
  const what = ['AWS_BEARER_TOKEN_BEDROCK', 'AWS_ACCESS_KEY_ID', 'AWS_PROFILE'].find((name) => env[name])
  if (what === undefined && file === undefined) return undefined
  const region = plainWord(env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION']) ?? '<REGION>'
  return {
    what: what ?? 'AWS credentials in your home directory',
    name: 'aws',
    kind: 'bedrock',
    fields: {
      region,
      ...(bearer && { credentials: { env: 'AWS_BEARER_TOKEN_BEDROCK' } }),
      subProcessor: 'aws',
      country: countryOfRegion('bedrock', region) ?? '<COUNTRY>',
    },
    models: [],
  }
}

/** Scheme, host and path; no user, password or query, which may be secrets. */
function plainAddress(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined
  const { origin, pathname } = new URL(text)
  return origin === 'null' ? undefined : `${origin}${pathname}`.replace(/\/+$/, '')
}

function plainWord(text: string | undefined): string | undefined {
  return text !== undefined && /^[a-z0-9][a-z0-9.:-]{0,63}$/.test(text) ? text : undefined
}

function existing(file: string): string | undefined {
  return existsSync(file) ? file : undefined
}

async function askServer({ what, name, port }: LocalServer): Promise<FoundCapacity | undefined> {
  const baseUrl = `http://127.0.0.1:${port}/v1`
  try {
    const answer = await request(`${baseUrl}/models`, { signal: AbortSignal.timeout(askMs) })
    const body = (await answer.body.json()) as { data?: { id?: unknown }[] }
    if (answer.statusCode !== 200 || !Array.isArray(body.data)) return undefined
    const models = body.data.flatMap(({ id }) => (typeof id === 'string' ? [id] : [])).slice(0, modelsMax)
    const fields = { baseUrl, subProcessor: 'self', country: '<COUNTRY>' }
    return { what: `a server on port ${port}, ${what}'s usual one`, name, kind: 'openai-compatible', fields, models }
  } catch {
    return undefined
  }
}
