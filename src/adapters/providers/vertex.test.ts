import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll } from 'vitest'
import { FakeVendor } from '../../../test/e2e/fake-vendor.ts'
import { openProvider } from './open-provider.ts'
import { providerContract, wallMs } from './provider.contract.ts'

/** Google's token endpoint. */
let google: FakeVendor
beforeAll(async () => {
  google = await FakeVendor.start()
  google.behaviour = {
    script: ({ response }) =>
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end('{"access_token":"ya29.test","expires_in":3600,"token_type":"Bearer"}'),
  }
})
afterAll(() => google.down())

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const serviceAccount = () =>
  JSON.stringify({
    type: 'service_account',
    client_email: 'spillway@test.iam.gserviceaccount.com',
    private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    token_uri: `${google.origin}/token`,
  })

providerContract(
  'Vertex with a service account',
  (origin, limits) =>
    openProvider(
      {
        kind: 'vertex',
        baseUrl: origin,
        project: 'p',
        location: 'europe-west4',
        subProcessor: 'google-cloud',
        country: 'NL',
      },
      serviceAccount(),
      limits,
      () => wallMs,
    ),
  { header: 'authorization', value: /^Bearer ya29\.test$/ },
)
