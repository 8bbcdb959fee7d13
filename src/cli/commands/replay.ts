import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { request } from 'undici'
import type { TokenPrices } from '../../core/endpoint.ts'
import { type Command, type Terminal, UsageError } from '../command.ts'
import { durationMs, oneWord, positive, readOptions } from '../options.ts'
import { replayPage } from '../replay/page.ts'
import type { ReplayRun } from '../replay/run.ts'
import { runReplay } from '../replay/sender.ts'
import { summarise } from '../replay/summary.ts'
import { replayText } from '../replay/text.ts'
import { readTrace, type TraceRequest } from '../replay/trace.ts'

const refreshMs = 500
const answerMs = 5_000

export const command: Command = {
  name: 'replay',
  summary: 'send a recorded trace as real requests and report',
  usage: `spillway replay TRACE --key KEY [--speed N] [--duration 10m] [--url URL] [options]

TRACE is a file (Azure 2023 rows, BurstGPT CSV, Mooncake JSON lines; also .gz) or one of
azure-2023-conversation (or azure-2023-conversation-40m), azure-2023-code-40m, burstgpt-head, mooncake-head,
mooncake-conversation-40m.

  --url URL             up to and with /v1 (default: http://127.0.0.1:8420/v1)
  --key KEY             may be given several times; requests are dealt out among the keys
  --keys-file FILE      more keys, separated by blanks or line ends
  --speed N             arrivals come N times faster (default: 1)
  --duration 10m        only so much of the trace, in its own time
  --model NAME          (default: chat-large)
  --concurrency-max N   requests open at once (default: 5000)
  --timeout-s N         a request is given up after so long (default: 120)
  --seed N              deals out the keys (default: 1)
  --html FILE           writes a page with plots
  --out FILE            writes a line of JSON for each request

Ctrl-C ends the sending and waits for what is open; again, and that is given up too. The report is then marked as
partial, and the exit code is 130.`,
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
    const keys = [...(values.key ?? []), ...keysIn(values['keys-file'], terminal.cwd)]
    if (keys.length === 0) throw new UsageError('--key KEY is missing')
    const untilMs = durationMs('duration', values.duration) ?? Number.POSITIVE_INFINITY
    const speed = positive('speed', values.speed) ?? 1
    const url = values.url ?? 'http://127.0.0.1:8420/v1'
    if (!/^https?:/.test(url) || !URL.canParse(url))
      throw new UsageError(`--url takes an address such as http://127.0.0.1:8420/v1, not ${JSON.stringify(url)}`)
    const options = {
      trace: readTrace(name, terminal.cwd).filter(({ atMs }) => atMs < untilMs),
      speed,
      url,
      keys,
      model: values.model ?? 'chat-large',
      timeoutMs: (positive('timeout-s', values['timeout-s']) ?? 120) * 1_000,
      concurrencyMax: positive('concurrency-max', values['concurrency-max']) ?? 5_000,
      seed: positive('seed', values.seed) ?? 1,
    }
    await mustAnswer(url, keys[0] as string)
    const { results, partial } = await watched(options, `replaying ${path.basename(name)}`, terminal)
    const run: ReplayRun = {
      trace: path.basename(name),
      speed,
      url,
      model: options.model,
      keys: keys.length,
      planned: options.trace.length,
      partial,
      results,
      summary: summarise(results, await pricesAt(url, keys, options.model)),
    }
    if (values.out !== undefined)
      writeFileSync(
        path.resolve(terminal.cwd, values.out),
        results.map((result) => `${JSON.stringify(result)}\n`).join(''),
      )
    if (values.html !== undefined) writeFileSync(path.resolve(terminal.cwd, values.html), replayPage(run))
    const { results: _, summary, ...about } = run
    terminal.result({ ...about, ...summary }, replayText(run, terminal))
    return partial ? 130 : 0
  },
}

/** Nobody wants to wait for the end of a replay to learn that its address or its key was wrong. */
async function mustAnswer(url: string, key: string): Promise<void> {
  let status: number
  try {
    const { statusCode, body } = await request(`${url.replace(/\/+$/, '')}/models`, {
      headers: { authorization: `Bearer ${key}` },
      headersTimeout: answerMs,
    })
    await body.dump()
    status = statusCode
  } catch (error) {
    const { code = (error as Error).message } = error as NodeJS.ErrnoException
    throw new Error(`nobody answers at ${url} (${code}); start the gateway first, or name its address with --url`)
  }
  if (status === 401) throw new Error(`${url} does not take the key that was given first; see spillway keys list`)
}

/** Runs the replay with live progress; Ctrl-C ends it in two steps. */
async function watched(
  options: Parameters<typeof runReplay>[0] & { readonly trace: readonly TraceRequest[] },
  label: string,
  terminal: Terminal,
): Promise<Pick<ReplayRun, 'results' | 'partial'>> {
  const stop = new AbortController()
  const giveUp = new AbortController()
  const onInterrupt = () => (stop.signal.aborted ? giveUp : stop).abort()
  process.on('SIGINT', onInterrupt)
  const progress = terminal.progress(label, options.trace.length)
  const startedMs = performance.now()
  let done = 0
  let failed = 0
  let open = 0
  const show = (): void => {
    const rate = (done / (performance.now() - startedMs)) * 1_000
    const ending = stop.signal.aborted ? ', waiting for these (Ctrl-C gives them up)' : ''
    progress.update(done, `${rate.toFixed(1)}/s, ${done - failed} ok, ${failed} failed, ${open} open${ending}`)
  }
  const timer = setInterval(show, refreshMs)
  try {
    const results = await runReplay({
      ...options,
      stop: stop.signal,
      giveUp: giveUp.signal,
      onChange(inFlight, ended) {
        open = inFlight
        if (ended === undefined) return
        done++
        if (ended.ended !== 'ok') failed++
      },
    })
    return { results, partial: results.length < options.trace.length || giveUp.signal.aborted }
  } finally {
    clearInterval(timer)
    progress.end()
    process.off('SIGINT', onInterrupt)
  }
}

function keysIn(file: string | undefined, cwd: string): string[] {
  if (file === undefined) return []
  let text: string
  try {
    text = readFileSync(path.resolve(cwd, file), 'utf8')
  } catch (error) {
    throw new Error(`the keys cannot be read from ${file}: ${(error as Error).message}`)
  }
  return text.split(/\s+/).filter((key) => key !== '')
}

/** What the gateway says each place costs; empty for another server that explains nothing. */
async function pricesAt(url: string, keys: readonly string[], model: string): Promise<Map<string, TokenPrices>> {
  const prices = new Map<string, TokenPrices>()
  try {
    const answer = await request(`${url.replace(/\/+$/, '')}/explain`, {
      method: 'POST',
      headers: { authorization: `Bearer ${keys[0]}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model }),
      headersTimeout: answerMs,
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
