import { createSign } from 'node:crypto'
import { request } from 'undici'
import type { Token } from './credentials.ts'

/** What is needed of Google's service-account file. */
export interface ServiceAccount {
  readonly client_email: string
  readonly private_key: string
  readonly private_key_id?: string
  readonly token_uri: string
}

const assertionSeconds = 3_600
const timeoutMs = 10_000

export function isServiceAccount(file: unknown): file is ServiceAccount {
  if (typeof file !== 'object' || file === null || !('type' in file) || file.type !== 'service_account') return false
  const { client_email, private_key, token_uri } = file as Partial<ServiceAccount>
  return typeof client_email === 'string' && typeof private_key === 'string' && typeof token_uri === 'string'
}

/**
 * Exchanges a signed assertion for an access token (RFC 7523) at the file's own `token_uri`. Google's library always
 * asks Google itself, which a private endpoint or a test cannot be.
 */
export async function serviceAccountToken(
  account: ServiceAccount,
  scope: string,
  wallMs: () => number,
): Promise<Token> {
  const nowSeconds = Math.floor(wallMs() / 1_000)
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
  const answer = await request(account.token_uri, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
      assertion: `${signed}.${signature}`,
    }).toString(),
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
  })
  const body = (await answer.body.json().catch(() => ({}))) as {
    access_token?: unknown
    expires_in?: unknown
    error?: unknown
  }
  if (answer.statusCode !== 200 || typeof body.access_token !== 'string') {
    throw new Error(
      `${new URL(account.token_uri).origin} gave no token (status ${answer.statusCode}${typeof body.error === 'string' ? `, ${body.error}` : ''})`,
    )
  }
  const seconds = typeof body.expires_in === 'number' ? body.expires_in : assertionSeconds
  return { value: body.access_token, expiresWallMs: wallMs() + seconds * 1_000 }
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
