import path from 'node:path'
import { endpointsOf } from '../../config/endpoints.ts'
import type { Command, Terminal } from '../command.ts'
import { configFileThere, loadConfig } from '../config-source.ts'
import { examine, type Finding } from '../examine.ts'
import { noWords, readOptions } from '../options.ts'
import { ProviderSet } from '../providers.ts'

/** So many endpoints are asked at once: enough to be done soon, few enough not to slow each other down. */
const atOnce = 8

export const command: Command = {
  name: 'doctor',
  summary: 'check each endpoint for real',
  usage: `spillway doctor [--config FILE] [--no-ask]

Asks each endpoint of the configuration: can it be reached, are the credentials good, does it have the model, how soon
comes the first token, and is it in the country that the configuration says, where the vendor tells. Exit code 1 where
something is wrong.

  --config FILE   (default: $SPILLWAY_CONFIG, else ./spillway.yaml, else the demo's)
  --no-ask        asks no model for tokens, which cost money`,
  async run(args, terminal) {
    const { values, positionals } = readOptions(args, { config: { type: 'string' }, 'no-ask': { type: 'boolean' } })
    noWords(positionals)
    const file = configFileThere(values.config, terminal)
    const { config } = loadConfig(file)
    const set = new ProviderSet(terminal.env)
    const { providers, problems, commit } = await set.prepare(config, path.dirname(file))
    commit()
    const endpoints = endpointsOf(config)
    const progress = terminal.progress('asking', endpoints.length)
    let done = 0
    const findings = await inTurns(endpoints, atOnce, async (endpoint): Promise<Finding> => {
      const provider = providers.get(endpoint.providerName)
      const providerConfig = config.providers[endpoint.providerName]
      const finding =
        provider === undefined || providerConfig === undefined
          ? {
              endpoint,
              verdict: 'off',
              problem: problems.find((one) => one.provider === endpoint.providerName)?.problem ?? '',
            }
          : await examine(endpoint, provider, {
              providerConfig,
              ask: values['no-ask'] !== true,
              firstByteMs: config.limits.firstByteMs,
            })
      progress.update(++done, endpoint.id)
      return finding
    })
    progress.end()
    await set.close()
    terminal.result(findings.map(asJson), report(findings, terminal))
    return findings.every(({ problem }) => problem === undefined) ? 0 : 1
  },
}

function asJson({ endpoint, ...rest }: Finding): object {
  const { id, providerName, subProcessor, country, upstreamModel } = endpoint
  return { endpoint: id, provider: providerName, upstreamModel, subProcessor, country, ...rest }
}

function report(findings: readonly Finding[], terminal: Terminal): string {
  const ms = (value: number | undefined) => (value === undefined ? '-' : `${Math.round(value)} ms`)
  const rows = findings.map(({ endpoint, reachedMs, firstTokenMs, region, verdict, problem }) => [
    endpoint.id,
    endpoint.subProcessor,
    endpoint.country,
    region ?? '-',
    ms(reachedMs),
    ms(firstTokenMs),
    problem === undefined ? terminal.good(verdict) : terminal.bad(verdict),
  ])
  const columns = ['endpoint', 'sub-processor', 'country', 'region', 'reached', 'first token', 'finding']
  const whose = new Map<string, string[]>()
  for (const { endpoint, problem } of findings)
    if (problem !== undefined) whose.set(problem, [...(whose.get(problem) ?? []), endpoint.id])
  const sick = findings.filter(({ problem }) => problem !== undefined).length
  return [
    terminal.table(columns, rows),
    '',
    ...[...whose].map(([problem, ids]) => `${ids.join(', ')}: ${problem}`),
    ...(sick > 0 ? [''] : []),
    sick === 0
      ? terminal.good('every endpoint is good')
      : terminal.bad(
          `${sick} of ${findings.length} ${findings.length === 1 ? 'endpoint has' : 'endpoints have'} a problem`,
        ),
  ].join('\n')
}

/** Runs `work` on every item, so many at a time; gives the results in the order of the items. */
async function inTurns<T, R>(items: readonly T[], atOnceMax: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  const entries = items.entries()
  const worker = async (): Promise<void> => {
    for (const [index, item] of entries) results[index] = await work(item)
  }
  await Promise.all(Array.from({ length: atOnceMax }, worker))
  return results
}
