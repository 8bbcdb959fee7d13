import { createVerify, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { isOperation, json, type Reply, type Wire } from './wire.ts'

const tokenSeconds = 3_600
/** What Google's own libraries name as the audience, whatever the file says. */
const googleTokenUri = 'https://oauth2.googleapis.com/token'
/** Where the demo's countries are, in Google's words; it has no region in Norway, so that name is made up. */
const locations: Readonly<Record<string, string>> = {
  US: 'us-central1',
  GB: 'europe-west2',
  JP: 'asia-northeast1',
  NL: 'europe-west4',
  NO: 'demo-norway1',
}
const models = ['openai/gpt-oss-120b-maas', 'openai/gpt-oss-20b-maas']

/** Google's identity in small: one service account, tokens for whoever signs with its key. */
export class ServiceAccounts {
  readonly #publicKey: KeyObject
  readonly #privateKey: string
  readonly #email = 'spillway@demo.iam.gserviceaccount.com'
  readonly #tokens = new Map<string, number>()
  readonly #audiences = new Set([googleTokenUri])

  constructor() {
    const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
    this.#publicKey = pair.publicKey
    this.#privateKey = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  }

  /** The file that Google would hand out. */
  file(tokenUri: string): object {
    this.#audiences.add(tokenUri)
    return {
      type: 'service_account',
      project_id: 'demo',
      private_key_id: 'demo',
      private_key: this.#privateKey,
      client_email: this.#email,
      token_uri: tokenUri,
      note: 'made by the demo clouds; good for nothing else',
    }
  }

  /** RFC 7523: a signed assertion for a token. */
  exchange(form: string): Reply {
    const fields = new URLSearchParams(form)
    const refuse = (description: string) => json(400, { error: 'invalid_grant', error_description: description })
    if (fields.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer')
      return json(400, { error: 'unsupported_grant_type' })
    const [head = '', claims = '', signature = ''] = (fields.get('assertion') ?? '').split('.')
    if (!createVerify('RSA-SHA256').update(`${head}.${claims}`).verify(this.#publicKey, signature, 'base64url'))
      return refuse('Invalid JWT Signature.')
    const { iss, aud, exp } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as {
      iss?: string
      aud?: string
      exp?: number
    }
    if (iss !== this.#email) return refuse('Invalid issuer.')
    if (!this.#audiences.has(aud ?? '')) return refuse('Invalid JWT audience.')
    if (typeof exp !== 'number' || exp * 1_000 < Date.now()) return refuse('Invalid JWT: token must be short-lived.')
    const token = `ya29.demo-${randomBytes(24).toString('base64url')}`
    this.#tokens.set(token, Date.now() + tokenSeconds * 1_000)
    return json(200, { access_token: token, expires_in: tokenSeconds, token_type: 'Bearer' })
  }

  isToken(authorization: string | undefined): boolean {
    const expires = this.#tokens.get((authorization ?? '').replace(/^Bearer /, ''))
    return expires !== undefined && expires > Date.now()
  }
}

/** Vertex AI's OpenAI-compatible endpoint of one location, and the token endpoint beside it. */
export function vertexWire(accounts: ServiceAccounts, country: string): Wire {
  const location = locations[country] ?? country
  const error = (code: number, status: string, message: string) => json(code, { error: { code, message, status } })
  return {
    route(method, path) {
      if (method !== 'POST') return undefined
      if (path === '/token') return { kind: 'exchange', answer: (body) => accounts.exchange(body) }
      const [, place, operation = ''] =
        /^\/v1\/projects\/[^/]+\/locations\/([^/]+)\/endpoints\/openapi\/(.+)$/.exec(path) ?? []
      return place === location && isOperation(operation) ? { kind: 'operation', operation } : undefined
    },
    isFree: (path) => path === '/token',
    isAuthorized: (headers) => accounts.isToken(headers.authorization),
    unauthorized: error(
      401,
      'UNAUTHENTICATED',
      'Request had invalid authentication credentials. Expected OAuth 2 access token.',
    ),
    notFound: error(404, 'NOT_FOUND', 'Not found.'),
    tooMany: () => error(429, 'RESOURCE_EXHAUSTED', 'Resource exhausted. Please try again later.'),
    badRequest: (message) => error(400, 'INVALID_ARGUMENT', message),
    models,
    unknownModel: (model) =>
      error(404, 'NOT_FOUND', `Publisher Model \`${model}\` was not found or your project does not have access to it.`),
    headers: () => ({}),
    openingEvent: '',
    choiceExtra: '',
    answerExtra: {},
  }
}
