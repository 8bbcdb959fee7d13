import type { Operation, Provider } from '../adapters/providers/provider.ts'
import type { ProviderConfig } from '../config/config.ts'
import type { PlacedEndpoint } from '../config/endpoints.ts'
import type { Failure, FailureKind } from '../core/failure.ts'
import { countryOfRegion } from './vendor-regions.ts'

/** What was found out about one endpoint by asking it. */
export interface Finding {
  readonly endpoint: PlacedEndpoint
  /** In one word or two; `good` where nothing is wrong. */
  readonly verdict: string
  /** What is wrong, where, and what to do. Absent where nothing is. */
  readonly problem?: string
  /** A request for the list of models and back. */
  readonly reachedMs?: number
  /** From the question to the first token (or, for embeddings, to the answer). */
  readonly firstTokenMs?: number
  /** Where the vendor says that it is, in its own word. */
  readonly region?: string
}

export interface ExamineOptions {
  readonly providerConfig: ProviderConfig
  /** Asks the model for a few tokens, which the vendor charges. */
  readonly ask: boolean
  /** As a real request would be given up: `limits.firstByteMs`. */
  readonly firstByteMs: number
}

const probeMs = 5_000
/** Few, but enough for a model that thinks before it says something. */
const outputTokensMax = 16

/** Finds out whether an endpoint can serve: reached, credentials, model, first token, country. Never throws. */
export async function examine(
  endpoint: PlacedEndpoint,
  provider: Provider,
  { providerConfig, ask, firstByteMs }: ExamineOptions,
): Promise<Finding> {
  const probe = await provider.probe(probeMs)
  if (!probe.reachable) {
    const problem = probe.problem ?? 'it cannot be reached'
    return { endpoint, verdict: /credentials/.test(problem) ? 'unauthorized' : 'unreachable', problem }
  }
  const reached = { endpoint, reachedMs: probe.durationMs }
  const configured = configuredRegion(providerConfig)
  if (!ask) return { ...reached, ...placed(providerConfig, endpoint.upstreamModel, configured) }
  const outcome = await answerOf(endpoint, provider, firstByteMs)
  if ('problem' in outcome) return { ...reached, ...outcome }
  const { firstTokenMs } = outcome
  return { ...reached, firstTokenMs, ...placed(providerConfig, endpoint.upstreamModel, outcome.region ?? configured) }
}

/** The region that the configuration itself names, where the vendor's country follows from it. */
function configuredRegion(config: ProviderConfig): string | undefined {
  if (config.kind === 'vertex') return config.location
  return config.kind === 'bedrock' ? config.region : undefined
}

/** Bedrock's names of models that run in any region of more than one country. */
const manyCountries = /^(?:eu|apac|global)\./

/** Holds what the vendor says of the place against what the configuration says. */
function placed(
  { kind, country }: ProviderConfig,
  upstreamModel: string,
  region: string | undefined,
): Pick<Finding, 'verdict' | 'problem' | 'region'> {
  if (region === undefined) return { verdict: 'good' }
  if (kind === 'vertex' && !/\d$/.test(region))
    return {
      verdict: 'no country',
      problem: `the location ${region} promises no country; set location to a region, such as europe-west4`,
      region,
    }
  if (kind === 'bedrock' && manyCountries.test(upstreamModel))
    return {
      verdict: 'no country',
      problem: `the model ${upstreamModel} runs in regions of several countries; ask for it without the prefix`,
      region,
    }
  const there = countryOfRegion(kind, region)
  if (there === undefined || there === country) return { verdict: 'good', region }
  return {
    verdict: 'wrong country',
    problem: `it is in the region ${region}, which is in ${there}, and the configuration says ${country}; set country: "${there}"`,
    region,
  }
}

type Outcome =
  | { readonly firstTokenMs: number; readonly region: string | undefined }
  | { readonly verdict: string; readonly problem: string }

interface Question {
  readonly operation: Operation
  readonly body: object
}

/** Asks as a chat; where the model takes none so, in the other ways that models are asked. */
async function answerOf(endpoint: PlacedEndpoint, provider: Provider, firstByteMs: number): Promise<Outcome> {
  const messages = [{ role: 'user', content: 'Hi' }]
  const chat = (limit: string): Question => ({
    operation: 'chat/completions',
    body: { stream: true, [limit]: outputTokensMax, messages },
  })
  const questions = [
    chat('max_tokens'),
    chat('max_completion_tokens'),
    { operation: 'embeddings', body: { input: 'Hi' } } as const,
  ]
  let first: Outcome | undefined
  for (const question of questions) {
    const outcome = await ask(endpoint, provider, question, firstByteMs)
    if (!('problem' in outcome)) return outcome
    first ??= outcome
    if (outcome.verdict !== 'refused' && outcome.verdict !== 'no such model') break
  }
  return first as Outcome
}

function ask(
  { upstreamModel }: PlacedEndpoint,
  provider: Provider,
  { operation, body }: Question,
  firstByteMs: number,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const startedMs = performance.now()
    const bytes = Buffer.from(JSON.stringify({ model: upstreamModel, ...body }))
    let region: string | undefined
    const done = (outcome: Outcome): void => {
      clearTimeout(timer)
      resolve(outcome)
      exchange.abort()
    }
    const answered = (): void => done({ firstTokenMs: performance.now() - startedMs, region })
    const slow = {
      verdict: 'slow',
      problem: `no token within ${firstByteMs} ms (limits.firstByteMs): requests would be given up; raise the limit, or see what it is busy with`,
    }
    const exchange = provider.send(
      {
        requestId: `doctor-${process.pid}-${Math.round(startedMs)}`,
        operation,
        upstreamModel,
        body: [bytes],
        bodyBytes: bytes.length,
        stream: operation === 'chat/completions',
        hideUsage: false,
      },
      {
        onHead({ headers }) {
          region = headers.find(([name]) => name === 'x-ms-region')?.[1]
        },
        onData(_bytes, { outputTokensCounted, usage }) {
          if (outputTokensCounted > 0 || usage !== undefined) answered()
          return true
        },
        onEnd: answered,
        onRefused: (status, refusal) =>
          done({ verdict: 'refused', problem: `it refuses the question (status ${status}): ${messageIn(refusal)}` }),
        onFailure: (failure) => done(failure.kind === 'timed-out' ? slow : failed(failure, upstreamModel)),
      },
    )
    const timer = setTimeout(() => done(slow), firstByteMs)
  })
}

/** An OpenAI envelope; the provider sees to that. */
function messageIn(refusal: Uint8Array): string {
  const { error } = JSON.parse(Buffer.from(refusal).toString()) as { error: { message: string } }
  return error.message
}

function failed({ kind, status }: Failure, upstreamModel: string): Outcome {
  const known = failures[kind]
  const withStatus = status === undefined ? '' : ` (status ${status})`
  if (known === undefined) return { verdict: kind.replace('-', ' '), problem: `it fails: ${kind}${withStatus}` }
  const [verdict, problem, advice] = known
  return { verdict, problem: `${problem.replace('MODEL', upstreamModel)}${withStatus}; ${advice}` }
}

const failures: Partial<Record<FailureKind, readonly [verdict: string, problem: string, advice: string]>> = {
  unauthorized: ['unauthorized', 'it does not take the credentials', 'check the key and what it may do'],
  'missing-model': ['no such model', 'it does not have the model MODEL', 'check upstreamModel'],
  'rate-limited': ['busy', 'it takes no more requests now', 'try again, or raise the quota at the vendor'],
  overloaded: ['busy', 'it is overloaded now', 'try again'],
  'server-error': ['failing', 'it fails', 'see the status page of the vendor, or the log of the server'],
  broken: ['no answer', 'what it sends is no answer of the OpenAI dialect', 'check baseUrl'],
  reset: ['failing', 'it breaks off the connection', 'see the log of the server'],
}
