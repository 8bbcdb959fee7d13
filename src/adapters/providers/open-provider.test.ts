import { openProvider } from './open-provider.ts'
import { clock, providerContract } from './provider.contract.ts'

providerContract(
  'an engine that speaks the OpenAI dialect',
  (origin, limits, onProblem) =>
    openProvider(
      { kind: 'openai-compatible', baseUrl: `${origin}/v1`, subProcessor: 'self', country: 'NL' },
      'secret',
      limits,
      clock,
      onProblem,
    ),
  { header: 'authorization', value: /^Bearer secret$/ },
)
