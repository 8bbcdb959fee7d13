import { openProvider } from './open-provider.ts'
import { providerContract, wallMs } from './provider.contract.ts'

for (const path of ['deployment', 'v1'] as const) {
  providerContract(
    `Azure by its ${path} path`,
    (origin, limits) =>
      openProvider(
        { kind: 'azure', baseUrl: origin, path, apiVersion: '2024-10-21', subProcessor: 'microsoft', country: 'GB' },
        'secret',
        limits,
        () => wallMs,
      ),
    { header: 'api-key', value: /^secret$/ },
  )
}
