import path from 'node:path'
import type { AnswerSink, Provider } from '../../adapters/providers/provider.ts'
import { endpointsOf, type PlacedEndpoint } from '../../config/endpoints.ts'
import type { Command } from '../command.ts'
import { configFileThere, loadConfig } from '../config-source.ts'
import { noWords, readOptions } from '../options.ts'
import { ProviderSet } from '../providers.ts'

const probeMs = 5_000
const answerMs = 60_000

export const command: Command = {
  name: 'doctor',
  summary: 'check each endpoint for real',
  usage: `spillway doctor [--config FILE] [--no-ask]

For each endpoint of the configuration: can its provider be reached, are the credentials good, does it have the model,
how soon comes the first token, which country and sub-processor does the file say it is. Asks each model for one token;
--no-ask leaves that out. Exit code 1 where something is wrong.`,
  async run(args, terminal) {
    const { values, positionals } = readOptions(args, { config: { type: 'string' }, 'no-ask': { type: 'boolean' } })
    noWords(positionals)
    const file = configFileThere(values.config, terminal)
    const { config } = loadConfig(file)
    const set = new ProviderSet(terminal.env)
    const { providers, problems } = await set.open(config, path.dirname(file))
    const endpoints = endpointsOf(config)
    const progress = terminal.progress('asking', endpoints.length)
    const findings: Finding[] = []
    for (const endpoint of endpoints) {
      const provider = providers.get(endpoint.providerName)
      const problem = problems.find((one) => one.provider === endpoint.providerName)?.problem
      findings.push(
        provider === undefined
          ? { endpoint, problem: problem ?? 'it is switched off' }
          : await examined(endpoint, provider, values['no-ask'] !== true),
      )
      progress.update(findings.length, endpoint.id)
    }
    progress.end()
    await set.close()
    const rows = findings.map(({ endpoint, connectMs, firstTokenMs, problem }) => [
      endpoint.id,
      endpoint.subProcessor,
      endpoint.country,
      connectMs === undefined ? '-' : `${Math.round(connectMs)} ms`,
      firstTokenMs === undefined ? '-' : `${Math.round(firstTokenMs)} ms`,
      problem ?? 'good',
    ])
    const sick = findings.filter(({ problem }) => problem !== undefined).length
    const summary =
      sick === 0
        ? terminal.good('all endpoints are good')
        : terminal.bad(`${sick} of ${findings.length} endpoints have a problem`)
    terminal.result(
      findings.map(({ endpoint, ...rest }) => ({
        endpoint: endpoint.id,
        subProcessor: endpoint.subProcessor,
        country: endpoint.country,
        ...rest,
      })),
      `${terminal.table(['endpoint', 'sub-processor', 'country', 'reached', 'first token', 'finding'], rows)}\n\n${summary}`,
    )
    return sick === 0 ? 0 : 1
  },
}

interface Finding {
  readonly endpoint: PlacedEndpoint
  readonly connectMs?: number
  readonly firstTokenMs?: number
  readonly problem?: string
}

async function examined(endpoint: PlacedEndpoint, provider: Provider, ask: boolean): Promise<Finding> {
  const probe = await provider.probe(probeMs)
  if (!probe.reachable) return { endpoint, problem: probe.problem ?? 'it cannot be reached' }
  const connectMs = probe.durationMs
  if (!ask) return { endpoint, connectMs }
  const answer = await firstToken(endpoint, provider)
  return typeof answer === 'string'
    ? { endpoint, connectMs, problem: answer }
    : { endpoint, connectMs, firstTokenMs: answer }
}

/** Asks for one token; gives the time to it in ms, or what went wrong. */
function firstToken({ upstreamModel }: PlacedEndpoint, provider: Provider): Promise<number | string> {
  return new Promise((resolve) => {
    const startedMs = performance.now()
    const body = Buffer.from(
      JSON.stringify({
        model: upstreamModel,
        stream: true,
        max_tokens: 1,
        messages: [{ role: 'user', content: 'Hi' }],
      }),
    )
    const done = (outcome: number | string): void => {
      clearTimeout(timer)
      resolve(outcome)
    }
    const sink: AnswerSink = {
      onHead: () => done(performance.now() - startedMs),
      onData: () => true,
      onEnd: () => {},
      onRefused: (status, refusal) =>
        done(
          `it refuses the request (status ${status}): ${(JSON.parse(Buffer.from(refusal).toString()) as { error: { message: string } }).error.message}`,
        ),
      onFailure: ({ kind, status }) =>
        done(
          kind === 'missing-model'
            ? `it does not have the model ${upstreamModel} (status 404); check upstreamModel`
            : `it fails: ${kind}${status === undefined ? '' : ` (status ${status})`}`,
        ),
    }
    const exchange = provider.send(
      {
        requestId: `doctor-${process.pid}-${Math.round(startedMs)}`,
        operation: 'chat/completions',
        upstreamModel,
        body: [body],
        bodyBytes: body.length,
        stream: true,
        hideUsage: true,
      },
      sink,
    )
    const timer = setTimeout(() => {
      exchange.abort()
      done(`no token within ${answerMs / 1000} s`)
    }, answerMs)
  })
}
