import { createSign } from 'node:crypto'
import type { Clock } from '../../core/clock.ts'
import type { Token } from './credentials.ts'
import { smallRequest } from './small-request.ts'

/** What is needed of Google's service-account file. */
export interface ServiceAccount {
  readonly client_email: string
  readonly private_key: string
  readonly private_key_id?: string
  readonly token_uri: string
}

const assertionSeconds = 3_600

export function isServiceAccount(file: unknown): file is ServiceAccount {
  if (typeof file !== 'object' || file === null || !('type' in file) || file.type !== 'service_account') return false
  const { client_email, private_key, token_uri } = file as Partial<ServiceAccount>
  return typeof client_email === 'string' && typeof private_key === 'string' && typeof token_uri === 'string'
}

/**
 * Exchanges a signed assertion for an access token (RFC 7523) at the file's own `token_uri`. Google's library always
 * asks Google itself, which a private endpoint or a test cannot be.
 */
export async function serviceAccountToken(account: ServiceAccount, scope: string, clock: Clock): Promise<Token> {
  const nowSeconds = Math.floor(clock.wallMs() / 1_000)
  const claims = {
    iss: account.client_email,
    scope,
    aud: account.token_uri,
    iat: nowSeconds,
    exp: nowSeconds + assertionSeconds,
  }
  const head = {
    alg: 'RS256',
    typ: 'JWT',
    ...(account.private_key_id !== undefined && { kid: account.private_key_id }),
  }
  const signed = `${encoded(head)}.${encoded(claims)}`
  const signature = createSign('RSA-SHA256').update(signed).sign(account.private_key, 'base64url')
  const form = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    assertion: `${signed}.${signature}`,
  })
  const url = new URL(account.token_uri)
  const { status, body } = await smallRequest(url, {
    method: 'POST',
    headers: ['content-type', 'application/x-www-form-urlencoded', 'accept', 'application/json'],
    body: Buffer.from(form.toString()),
  })
  const { access_token, expires_in, error } = fieldsOf(body)
  if (status !== 200 || typeof access_token !== 'string' || access_token === '') {
    const reason = typeof error === 'string' ? `, ${error}` : ''
    throw new Error(`${url.origin} gives no token (status ${status}${reason}); look at the service account`)
  }
  const seconds = typeof expires_in === 'number' ? expires_in : assertionSeconds
  return { value: access_token, expiresWallMs: clock.wallMs() + seconds * 1_000 }
}

function fieldsOf(body: Buffer): { access_token?: unknown; expires_in?: unknown; error?: unknown } {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
