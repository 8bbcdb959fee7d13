import type { AuthClient } from 'google-auth-library'
import type { ProviderConfig } from '../../config/config.ts'
import type { Clock } from '../../core/clock.ts'
import { cloudKeepAliveMs } from './connections.ts'
import { type Credentials, headerCredentials, tokenCredentials } from './credentials.ts'
import type { VendorWire } from './openai-provider.ts'
import { optionalModule } from './optional-module.ts'
import { isServiceAccount, serviceAccountToken } from './service-account.ts'
import { joinPath, originOf } from './urls.ts'

const scope = 'https://www.googleapis.com/auth/cloud-platform'
/** Places that are several regions at once have names of another form. */
const multiRegions = new Set(['us', 'eu'])
/** Google's tokens last an hour; one that the library gives without an age is asked for again after half of that. */
const tokenAgeMs = 1_800_000

/** Vertex AI by its OpenAI-compatible endpoint. The region is in the host's name and in the path. */
export async function vertexWire(
  config: ProviderConfig & { kind: 'vertex' },
  secret: string | undefined,
  clock: Clock,
): Promise<VendorWire> {
  const { project, location } = config
  const url = config.baseUrl ?? `https://${hostOf(location)}`
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
    credentials: await googleCredentials(project, secret, clock),
  }
}

function hostOf(location: string): string {
  if (location === 'global') return 'aiplatform.googleapis.com'
  return multiRegions.has(location)
    ? `aiplatform.${location}.rep.googleapis.com`
    : `${location}-aiplatform.googleapis.com`
}

/** A service-account file, another of Google's credential files, a ready token, or the machine's own identity. */
async function googleCredentials(project: string, secret: string | undefined, clock: Clock): Promise<Credentials> {
  const text = secret?.trim()
  if (text !== undefined && !text.startsWith('{')) return headerCredentials('authorization', `Bearer ${text}`)
  const file = text === undefined ? undefined : parseFile(text)
  if (isServiceAccount(file)) return tokenCredentials(() => serviceAccountToken(file, scope, clock), clock)
  const library = await optionalModule('google-auth-library', () => import('google-auth-library'))
  const fromFile = file === undefined ? undefined : clientOf(library, file)
  // Told of the project, it does not spend seconds looking for one.
  const machine = new library.GoogleAuth({ scopes: scope, projectId: project })
  return tokenCredentials(async () => {
    const client = fromFile ?? (await machine.getClient())
    const { token } = await client.getAccessToken()
    if (!token) throw new Error('Google gave no access token')
    return { value: token, expiresWallMs: client.credentials.expiry_date ?? clock.wallMs() + tokenAgeMs }
  }, clock)
}

/** The library's own choice among these clients says on stderr, each time, that files can be malicious. */
function clientOf(library: typeof import('google-auth-library'), file: Readonly<Record<string, unknown>>): AuthClient {
  const { type, credential_source: source } = file
  if (type === 'external_account') {
    const options = { ...file, scopes: [scope] } as never
    const ofAws = typeof source === 'object' && source !== null && 'environment_id' in source
    return ofAws ? new library.AwsClient(options) : new library.IdentityPoolClient(options)
  }
  if (type === 'authorized_user') {
    const { client_id: clientId, client_secret: clientSecret, refresh_token: refreshToken } = file
    return new library.UserRefreshClient({ clientId, clientSecret, refreshToken } as never)
  }
  throw new Error(
    `the credentials file of Google is of type ${JSON.stringify(type)}; service_account, external_account and authorized_user are known`,
  )
}

function parseFile(text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    throw new Error('the credentials file of Google is not JSON')
  }
}
