import { html } from './escape.ts'
import { count, duration, percentage } from './format.ts'
import { figure, highest, logScaleOver, pageHead, table, tile } from './parts.ts'
import { type Curve, linearScale, linePlot, sharePlot, timeScale } from './plots.ts'
import { failureRows, shareRows, timeRows, tokenRows, triesRows } from './rows.ts'
import { partialNote, type ReplayRun, simulationNote } from './run.ts'
import type { ReplayResult } from './sender.ts'
import { cloudOf, percentile } from './summary.ts'

const binsMax = 120
const cloudsShown = 8
const distributionSteps = 200

/** One page that says it all: no script, nothing loaded from elsewhere, light and dark, as large for many requests as for few. */
export function replayPage(run: ReplayRun): string {
  const { summary, trace, speed, url, model, keys } = run
  const bins = new Bins(run.results)
  const notes = [partialNote(run), simulationNote(run)].flatMap((note) => (note === undefined ? [] : [note]))
  return `${pageHead(`Replay of ${trace}`)}
<body>
<main>
<header>
<h1>Replay of ${html(trace)}</h1>
<p>${count(summary.requests)} requests for ${html(model)} with ${count(keys)} ${keys === 1 ? 'key' : 'keys'} at speed ${speed}, to ${html(url)}, in ${duration(summary.seconds * 1_000)}</p>
${notes.map((note) => `<p class="note">${html(note)}</p>`).join('\n')}
</header>
<section class="tiles">
${tile('answered whole', percentage(summary.successRate), `${count(summary.ok)} of ${count(summary.requests)}`)}
${tile('first token, median', time(summary.ttftMs?.p50), `99% within ${time(summary.ttftMs?.p99)}`)}
${tile('each further token, median', time(summary.tpotMs?.p50), `99% within ${time(summary.tpotMs?.p99)}`)}
${tile('gateway overhead, median', time(summary.overheadMs?.p50), `99% within ${time(summary.overheadMs?.p99)}`)}
${tile('tokens out', count(summary.completionTokens), `${count(summary.promptTokens)} in`)}
${tile('cost', summary.costUsd === null ? 'not known' : `$${summary.costUsd.toFixed(2)}`, 'of whole answers, at the gateway’s prices')}
</section>
<section class="figures">
${figure('How many', ratePlot(run.results, bins))}
${figure('Open at once', openPlot(run.results, bins))}
${figure('First token, over time', firstTokenPlot(run.results, bins))}
${figure('How long it took', distributionPlot(run.results))}
${figure('Who answered', cloudPlot(run.results, bins))}
</section>
<section class="tables">
${table('Times', ['', 'p50', 'p90', 'p95', 'p99', 'max'], timeRows(run))}
${table('Did not end well', ['why', 'first byte', 'requests'], failureRows(run))}
${table('Tokens', ['', 'count'], tokenRows(run))}
${table('Clouds', ['', 'answers', 'share'], shareRows(summary.byCloud))}
${table('Countries', ['', 'answers', 'share'], shareRows(summary.byCountry))}
${table('Tries', ['tries', 'requests'], triesRows(run))}
</section>
</main>
</body>
</html>
`
}

/** The time of the replay in equal steps, so many that a plot can show each. */
class Bins {
  readonly seconds: number
  readonly step: number
  readonly count: number
  readonly #firstMs: number

  constructor(results: readonly ReplayResult[]) {
    let firstMs = Number.POSITIVE_INFINITY
    let lastMs = Number.NEGATIVE_INFINITY
    for (const { sentMs, endMs } of results) {
      firstMs = Math.min(firstMs, sentMs)
      lastMs = Math.max(lastMs, sentMs + endMs)
    }
    this.#firstMs = firstMs
    this.seconds = Math.max(1, (lastMs - firstMs) / 1_000 || 0)
    this.step = Math.max(1, Math.ceil(this.seconds / binsMax))
    this.count = Math.ceil(this.seconds / this.step)
  }

  at(wallMs: number): number {
    return Math.min(this.count - 1, Math.max(0, Math.floor((wallMs - this.#firstMs) / 1_000 / this.step)))
  }

  /** How many fall into each step. */
  counts(wallMs: Iterable<number>): number[] {
    const counts = new Array<number>(this.count).fill(0)
    for (const ms of wallMs) {
      const bin = this.at(ms)
      counts[bin] = (counts[bin] ?? 0) + 1
    }
    return counts
  }

  /** As points in the middle of their steps. */
  points(values: readonly (number | undefined)[]): [number, number][] {
    return values.flatMap((value, bin): [number, number][] =>
      value === undefined ? [] : [[Math.min(this.seconds, (bin + 0.5) * this.step), value]],
    )
  }
}

const sent = ({ sentMs }: ReplayResult) => sentMs
const isWhole = ({ ended }: ReplayResult) => ended === 'ok'

function ratePlot(results: readonly ReplayResult[], bins: Bins): string {
  const curve = (name: string, color: string, some: readonly ReplayResult[]): Curve => ({
    name,
    color,
    points: bins.points(bins.counts(some.map(sent)).map((number) => number / bins.step)),
  })
  const curves = [
    curve('sent', 'c7', results),
    curve('of these answered whole', 'c0', results.filter(isWhole)),
    curve(
      'of these not',
      'bad',
      results.filter((result) => !isWhole(result)),
    ),
  ]
  return linePlot(curves, timeScale(bins.seconds), linearScale('requests a second, when sent', highest(curves)))
}

function openPlot(results: readonly ReplayResult[], bins: Bins): string {
  const starts = bins.counts(results.map(sent))
  const ends = bins.counts(results.map(({ sentMs, endMs }) => sentMs + endMs))
  let open = 0
  const values = starts.map((started, bin) => {
    open += started - (ends[bin - 1] ?? 0)
    return open
  })
  const curves = [{ name: 'requests sent and not ended', points: bins.points(values) }]
  return linePlot(curves, timeScale(bins.seconds), linearScale('requests', highest(curves)))
}

function firstTokenPlot(results: readonly ReplayResult[], bins: Bins): string {
  const perBin = Array.from({ length: bins.count }, (): number[] => [])
  for (const { ttftMs, sentMs } of results) if (ttftMs !== null) perBin[bins.at(sentMs)]?.push(ttftMs)
  for (const values of perBin) values.sort((a, b) => a - b)
  const curve = (name: string, rank: number): Curve => ({
    name,
    points: bins.points(perBin.map((values) => (values.length === 0 ? undefined : percentile(values, rank)))),
  })
  const curves = [curve('median', 50), curve('95th percentile', 95)]
  return linePlot(curves, timeScale(bins.seconds), logScaleOver(curves, 1, 'time to the first token'))
}

function distributionPlot(results: readonly ReplayResult[]): string {
  const curves = [
    distribution(
      'first token',
      results.flatMap(({ ttftMs }) => ttftMs ?? []),
    ),
    distribution(
      'whole answer',
      results.filter(isWhole).map(({ endMs }) => endMs),
    ),
  ]
  const y = linearScale('of the requests took no longer', 100, (value) => `${value}%`)
  return linePlot(curves, logScaleOver(curves, 0, 'time'), y)
}

function distribution(name: string, values: readonly number[]): Curve {
  const sorted = [...values].sort((a, b) => a - b)
  const steps = Math.min(distributionSteps, sorted.length)
  return {
    name,
    points: Array.from({ length: steps }, (_, i): [number, number] => {
      const rank = ((i + 1) / steps) * 100
      return [percentile(sorted, rank), rank]
    }),
  }
}

function cloudPlot(results: readonly ReplayResult[], bins: Bins): string {
  const answered = results.filter(({ endpoint, status }) => endpoint !== null && status === 200)
  const layers = Object.entries(Object.groupBy(answered, ({ endpoint }) => cloudOf(endpoint ?? '')))
    .sort(([, a = []], [, b = []]) => b.length - a.length)
    .map(([name, group = []]) => ({ name, values: bins.counts(group.map(sent)) }))
  const shown = layers.length <= cloudsShown ? layers : layers.slice(0, cloudsShown - 1)
  const rest = layers.slice(shown.length)
  if (rest.length > 0) {
    const values = bins.counts([]).map((_, bin) => rest.reduce((sum, { values: own }) => sum + (own[bin] ?? 0), 0))
    shown.push({ name: `${rest.length} others`, values })
  }
  return sharePlot(shown, timeScale(bins.seconds), bins.step)
}

function time(ms: number | undefined): string {
  return ms === undefined ? 'not known' : duration(ms)
}
