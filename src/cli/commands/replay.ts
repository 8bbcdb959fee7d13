import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { request } from 'undici'
import type { TokenPrices } from '../../core/endpoint.ts'
import { type Command, type Terminal, UsageError } from '../command.ts'
import { durationMs, oneWord, positive, readOptions } from '../options.ts'
import { replayPage } from '../replay/page.ts'
import { runReplay } from '../replay/sender.ts'
import { type Percentiles, type ReplaySummary, summarise } from '../replay/summary.ts'
import { readTrace } from '../replay/trace.ts'

export const command: Command = {
  name: 'replay',
  summary: 'send a recorded trace as real requests and report',
  usage: `spillway replay TRACE --key KEY [--speed N] [--duration 10m] [--url URL] [options]

TRACE is a file (Azure 2023 rows, BurstGPT CSV, Mooncake JSON lines; also .gz) or one of
azure-2023-conversation, burstgpt-head, mooncake-head.

  --url URL             up to and with /v1 (default: http://127.0.0.1:8420/v1)
  --key KEY             may be given several times; requests are dealt out among the keys
  --keys-file FILE      one key a line
  --speed N             arrivals come N times faster (default: 1)
  --duration 10m        only so much of the trace, in its own time
  --model NAME          (default: chat-large)
  --concurrency-max N   requests open at once (default: 5000)
  --timeout-s N         a request is given up after so long (default: 120)
  --seed N              deals out the keys (default: 1)
  --html FILE           writes a page with plots
  --out FILE            writes a line of JSON for each request`,
  async run(args, terminal) {
    const { values, positionals } = readOptions(args, {
      url: { type: 'string' },
      key: { type: 'string', multiple: true },
      'keys-file': { type: 'string' },
      speed: { type: 'string' },
      duration: { type: 'string' },
      model: { type: 'string' },
      'concurrency-max': { type: 'string' },
      'timeout-s': { type: 'string' },
      seed: { type: 'string' },
      html: { type: 'string' },
      out: { type: 'string' },
    })
    const name = oneWord(positionals, 'the trace')
    const inFile =
      values['keys-file'] === undefined
        ? []
        : readFileSync(path.resolve(terminal.cwd, values['keys-file']), 'utf8').split(/\s+/)
    const keys = [...(values.key ?? []), ...inFile].filter((key) => key !== '')
    if (keys.length === 0) throw new UsageError('--key KEY is missing')
    const untilMs = durationMs('duration', values.duration) ?? Number.POSITIVE_INFINITY
    const trace = readTrace(name, terminal.cwd).filter(({ atMs }) => atMs < untilMs)
    const speed = positive('speed', values.speed) ?? 1
    const url = values.url ?? 'http://127.0.0.1:8420/v1'
    const model = values.model ?? 'chat-large'
    const stopping = new AbortController()
    process.once('SIGINT', () => stopping.abort())
    const progress = terminal.progress(`replaying ${path.basename(name)}`, trace.length)
    let done = 0
    let failed = 0
    const startedMs = performance.now()
    const results = await runReplay({
      trace,
      speed,
      url,
      keys,
      model,
      timeoutMs: (positive('timeout-s', values['timeout-s']) ?? 120) * 1_000,
      concurrencyMax: positive('concurrency-max', values['concurrency-max']) ?? 5_000,
      seed: Number(values.seed ?? 1),
      signal: stopping.signal,
      onResult(result, inFlight) {
        done++
        if (result.ended !== 'ok') failed++
        const rate = (done / (performance.now() - startedMs)) * 1_000
        progress.update(done, `${rate.toFixed(1)}/s, ${inFlight} open, ${done - failed} ok, ${failed} failed`)
      },
    })
    progress.end()
    const summary = summarise(results, await pricesAt(url, keys, model))
    if (values.out !== undefined)
      writeFileSync(
        path.resolve(terminal.cwd, values.out),
        results.map((result) => `${JSON.stringify(result)}\n`).join(''),
      )
    if (values.html !== undefined)
      writeFileSync(
        path.resolve(terminal.cwd, values.html),
        replayPage({ name: path.basename(name), speed, url, results, summary }),
      )
    terminal.result(summary, report(summary, terminal))
    return results.length > 0 && results.every(({ ended }) => ended === 'unreachable') ? 1 : 0
  },
}

/** What the gateway says each place costs; empty for another server that explains nothing. */
async function pricesAt(url: string, keys: readonly string[], model: string): Promise<Map<string, TokenPrices>> {
  const prices = new Map<string, TokenPrices>()
  try {
    const answer = await request(`${url.replace(/\/+$/, '')}/explain`, {
      method: 'POST',
      headers: { authorization: `Bearer ${keys[0]}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model }),
      headersTimeout: 5_000,
    })
    const body = (await answer.body.json()) as {
      candidates?: { endpoint: string; usd_per_million_tokens: TokenPrices | null }[]
    }
    for (const { endpoint, usd_per_million_tokens: price } of body.candidates ?? [])
      if (price !== null) prices.set(endpoint, price)
  } catch {
    // The cost is then said to be unknown.
  }
  return prices
}

function report(summary: ReplaySummary, terminal: Terminal): string {
  const ms = (value: number) => `${value < 10 ? value.toFixed(2) : Math.round(value)} ms`
  const row = (name: string, values: Percentiles | null) =>
    values === null ? [] : [[name, ms(values.p50), ms(values.p90), ms(values.p95), ms(values.p99), ms(values.max)]]
  const failures = (title: string, counts: Readonly<Record<string, number>>) =>
    Object.keys(counts).length === 0
      ? []
      : [
          `${title}: ${Object.entries(counts)
            .map(([reason, count]) => `${count} ${reason}`)
            .join(', ')}`,
        ]
  const share = (title: string, shares: ReplaySummary['byCloud']) =>
    shares.length === 0
      ? []
      : [
          '',
          terminal.table(
            [title, 'requests', 'share'],
            shares.map(({ name, requests, share: part }) => [name, String(requests), `${(part * 100).toFixed(1)}%`]),
          ),
        ]
  const rate = `${(summary.successRate * 100).toFixed(2)}%`
  return [
    `${summary.requests} requests in ${summary.seconds.toFixed(1)} s (${summary.requestsPerSecond.toFixed(1)}/s): ${summary.ok === summary.requests ? terminal.good(`${rate} ok`) : terminal.bad(`${rate} ok`)}`,
    ...failures('failed before the first byte', summary.failedBeforeFirstByte),
    ...failures('cut after it', summary.failedAfterFirstByte),
    '',
    terminal.table(
      ['', 'p50', 'p90', 'p95', 'p99', 'max'],
      [
        ...row('first token', summary.ttftMs),
        ...row('per token', summary.tpotMs),
        ...row('end to end', summary.endToEndMs),
        ...row('gateway overhead', summary.overheadMs),
        ...row('sent late', summary.lateMs),
      ],
    ),
    '',
    `tokens: ${summary.promptTokens} in (${summary.cachedTokens} cached), ${summary.completionTokens} out; cost: ${summary.costUsd === null ? 'not known' : `$${summary.costUsd.toFixed(4)}`}`,
    `tries: ${Object.entries(summary.attempts)
      .map(([attempts, count]) => `${count} with ${attempts}`)
      .join(', ')}`,
    ...share('cloud', summary.byCloud),
    ...share('country', summary.byCountry),
  ].join('\n')
}
