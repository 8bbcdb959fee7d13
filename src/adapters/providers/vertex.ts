import type { ProviderConfig } from '../../config/config.ts'
import { cloudKeepAliveMs } from './connections.ts'
import { type Credentials, headerCredentials, tokenCredentials } from './credentials.ts'
import type { VendorWire } from './openai-provider.ts'
import { optionalModule } from './optional-module.ts'
import { isServiceAccount, serviceAccountToken } from './service-account.ts'
import { joinPath, originOf } from './urls.ts'

const scope = 'https://www.googleapis.com/auth/cloud-platform'
/** Google's tokens last an hour; one that the library gives without an age is asked for again after half of that. */
const tokenAgeMs = 1_800_000

/** Vertex AI by its OpenAI-compatible endpoint. The region is in the host's name and in the path. */
export async function vertexWire(
  config: ProviderConfig & { kind: 'vertex' },
  secret: string | undefined,
  wallMs: () => number,
): Promise<VendorWire> {
  const { project, location } = config
  const host = location === 'global' ? 'aiplatform.googleapis.com' : `${location}-aiplatform.googleapis.com`
  const url = config.baseUrl ?? `https://${host}`
  const place = `/v1/projects/${encodeURIComponent(project)}/locations/${encodeURIComponent(location)}/endpoints/openapi`
  const given = new URL(url).pathname
  const base = given.includes('/endpoints/') ? given : joinPath(given, place)
  return {
    kind: config.kind,
    keepAliveMs: cloudKeepAliveMs,
    thoughtsBeside: true,
    origin: originOf(url),
    path: (operation) => joinPath(base, `/${operation}`),
    probePath: joinPath(base, '/models'),
    credentials: await googleCredentials(secret, wallMs),
  }
}

/** A service-account file, any other of Google's credential files, a ready token, or the machine's own identity. */
async function googleCredentials(secret: string | undefined, wallMs: () => number): Promise<Credentials> {
  const text = secret?.trim()
  if (text !== undefined && !text.startsWith('{')) return headerCredentials('authorization', `Bearer ${text}`)
  const file: unknown = text === undefined ? undefined : parseFile(text)
  if (isServiceAccount(file)) return tokenCredentials(() => serviceAccountToken(file, scope, wallMs), wallMs)
  const { GoogleAuth } = await optionalModule('google-auth-library', () => import('google-auth-library'))
  const auth = new GoogleAuth({ scopes: scope, ...(file !== undefined && { credentials: file as object }) })
  return tokenCredentials(async () => {
    const client = await auth.getClient()
    const { token } = await client.getAccessToken()
    if (!token) throw new Error('Google gave no access token')
    return { value: token, expiresWallMs: client.credentials.expiry_date ?? wallMs() + tokenAgeMs }
  }, wallMs)
}

function parseFile(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error('the credentials file of Google is not JSON')
  }
}
