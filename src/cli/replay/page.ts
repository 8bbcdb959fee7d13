import { html } from './escape.ts'
import { areaPlot, type Curve, linePlot, type Mark } from './plots.ts'
import type { ReplayResult } from './sender.ts'
import { cloudOf, type Percentiles, type ReplaySummary, reasonOf } from './summary.ts'

export interface PageInput {
  readonly name: string
  readonly speed: number
  readonly url: string
  readonly results: readonly ReplayResult[]
  readonly summary: ReplaySummary
}

const binsMax = 120
const cloudsShown = 8

/** One page that says it all: no script, nothing loaded from elsewhere, light and dark. */
export function replayPage({ name, speed, url, results, summary }: PageInput): string {
  const firstMs = Math.min(...results.map(({ sentMs }) => sentMs))
  const seconds = (result: ReplayResult) => (result.sentMs - firstMs) / 1_000
  const spanSeconds = Math.max(1, ...results.map(seconds))
  const binSeconds = Math.max(1, Math.ceil(spanSeconds / binsMax))
  const bins = Math.ceil((spanSeconds + 1e-9) / binSeconds)
  const binOf = (result: ReplayResult) => Math.min(bins - 1, Math.floor(seconds(result) / binSeconds))
  const ok = results.filter(({ ended }) => ended === 'ok')
  const perSecond = (some: readonly ReplayResult[]): [number, number][] => {
    const counts = new Array<number>(bins).fill(0)
    for (const result of some) counts[binOf(result)] = (counts[binOf(result)] ?? 0) + 1
    return counts.map((count, bin) => [bin * binSeconds, count / binSeconds])
  }
  const failures: Mark[] = results
    .filter(({ ended }) => ended !== 'ok')
    .map((result) => ({ x: seconds(result), title: `${seconds(result).toFixed(1)} s: ${reasonOf(result)}` }))
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Replay of ${html(name)}</title>
<style>${style}</style>
</head>
<body>
<main>
<header>
<h1>Replay of ${html(name)}</h1>
<p>${summary.requests} requests at speed ${speed} to ${html(url)}, ${summary.seconds.toFixed(1)} s</p>
</header>
<section class="tiles">
${tile('answered whole', `${(summary.successRate * 100).toFixed(2)}%`, `${summary.ok} of ${summary.requests}`)}
${tile('first token, p50', ms(summary.ttftMs?.p50), `p99 ${ms(summary.ttftMs?.p99)}`)}
${tile('per token, p50', ms(summary.tpotMs?.p50), `p99 ${ms(summary.tpotMs?.p99)}`)}
${tile('gateway overhead, p50', ms(summary.overheadMs?.p50), `p99 ${ms(summary.overheadMs?.p99)}`)}
${tile('tokens out', String(summary.completionTokens), `${summary.promptTokens} in`)}
${tile('cost', summary.costUsd === null ? 'not known' : `$${summary.costUsd.toFixed(4)}`, 'by the gateway’s prices')}
</section>
${figure(
  'Requests a second',
  linePlot({
    curves: [
      { name: 'sent', points: perSecond(results) },
      { name: 'answered whole', points: perSecond(ok) },
    ],
    xLabel: 's',
    yLabel: '/s',
  }),
)}
${figure('Time to the first token', linePlot({ curves: ttftCurves(ok, binOf, bins, binSeconds), marks: failures, xLabel: 's', yLabel: 'ms' }), failures.length > 0 ? 'Ticks at the bottom are requests that failed or were cut.' : undefined)}
${figure(
  'How long requests took',
  linePlot({
    curves: [
      distribution(
        'first token',
        ok.flatMap(({ ttftMs }) => (ttftMs === null ? [] : [ttftMs])),
      ),
      distribution(
        'whole answer',
        ok.map(({ endMs }) => endMs),
      ),
    ],
    xLabel: 'ms',
    yLabel: '%',
    logX: true,
  }),
  'Share of the requests that took no longer.',
)}
${figure('Who answered', areaPlot({ layers: cloudLayers(results, binOf, bins), stepSeconds: binSeconds }))}
<section class="columns">
${table('Times', ['', 'p50', 'p95', 'p99', 'max'], timeRows(summary))}
${table('Failures', ['when', 'why', 'requests'], failureRows(summary))}
${table(
  'Clouds',
  ['cloud', 'requests', 'share'],
  summary.byCloud.map(({ name: cloud, requests, share }) => [cloud, String(requests), `${(share * 100).toFixed(1)}%`]),
)}
${table(
  'Countries',
  ['country', 'requests', 'share'],
  summary.byCountry.map(({ name: country, requests, share }) => [
    country,
    String(requests),
    `${(share * 100).toFixed(1)}%`,
  ]),
)}
</section>
</main>
</body>
</html>
`
}

function ttftCurves(
  ok: readonly ReplayResult[],
  binOf: (result: ReplayResult) => number,
  bins: number,
  binSeconds: number,
): Curve[] {
  const perBin = Array.from({ length: bins }, (): number[] => [])
  for (const result of ok) if (result.ttftMs !== null) perBin[binOf(result)]?.push(result.ttftMs)
  for (const values of perBin) values.sort((a, b) => a - b)
  const curve = (name: string, share: number): Curve => ({
    name,
    points: perBin.flatMap((values, bin): [number, number][] =>
      values.length === 0 ? [] : [[bin * binSeconds, values[Math.ceil(share * values.length) - 1] as number]],
    ),
  })
  return [curve('median', 0.5), curve('95th percentile', 0.95)]
}

function distribution(name: string, values: readonly number[]): Curve {
  const sorted = [...values].sort((a, b) => a - b)
  const steps = Math.min(200, sorted.length)
  return {
    name,
    points: Array.from({ length: steps }, (_, i): [number, number] => [
      sorted[Math.ceil(((i + 1) / steps) * sorted.length) - 1] as number,
      ((i + 1) / steps) * 100,
    ]),
  }
}

function cloudLayers(
  results: readonly ReplayResult[],
  binOf: (result: ReplayResult) => number,
  bins: number,
): { name: string; values: number[] }[] {
  const byCloud = new Map<string, number[]>()
  for (const result of results) {
    if (result.endpoint === null || result.status !== 200) continue
    const cloud = cloudOf(result.endpoint)
    const values = byCloud.get(cloud) ?? new Array<number>(bins).fill(0)
    values[binOf(result)] = (values[binOf(result)] ?? 0) + 1
    byCloud.set(cloud, values)
  }
  const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0)
  const sorted = [...byCloud].sort(([, a], [, b]) => total(b) - total(a)).map(([name, values]) => ({ name, values }))
  if (sorted.length <= cloudsShown) return sorted
  const rest = sorted.slice(cloudsShown - 1)
  const others = new Array<number>(bins)
    .fill(0)
    .map((_, bin) => rest.reduce((sum, { values }) => sum + (values[bin] ?? 0), 0))
  return [...sorted.slice(0, cloudsShown - 1), { name: `${rest.length} others`, values: others }]
}

function timeRows(summary: ReplaySummary): string[][] {
  const row = (name: string, values: Percentiles | null) =>
    values === null ? [] : [[name, ms(values.p50), ms(values.p95), ms(values.p99), ms(values.max)]]
  return [
    ...row('first token', summary.ttftMs),
    ...row('per token', summary.tpotMs),
    ...row('whole answer', summary.endToEndMs),
    ...row('gateway overhead', summary.overheadMs),
    ...row('sent late', summary.lateMs),
  ]
}

function failureRows({ failedBeforeFirstByte, failedAfterFirstByte }: ReplaySummary): string[][] {
  const rows = (when: string, counts: Readonly<Record<string, number>>) =>
    Object.entries(counts).map(([reason, count]) => [when, reason, String(count)])
  return [...rows('before the first byte', failedBeforeFirstByte), ...rows('after it', failedAfterFirstByte)]
}

function tile(label: string, value: string, note: string): string {
  return `<div><span>${label}</span><b>${value}</b><small>${note}</small></div>`
}

function figure(title: string, svg: string, caption?: string): string {
  return `<figure><h2>${title}</h2>${svg}${caption === undefined ? '' : `<figcaption>${caption}</figcaption>`}</figure>`
}

function table(title: string, columns: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return ''
  const cells = (tag: string, row: readonly string[]) => row.map((cell) => `<${tag}>${html(cell)}</${tag}>`).join('')
  return `<div><h2>${title}</h2><table><thead><tr>${cells('th', columns)}</tr></thead><tbody>${rows.map((row) => `<tr>${cells('td', row)}</tr>`).join('')}</tbody></table></div>`
}

function ms(value: number | undefined): string {
  if (value === undefined) return '–'
  return value < 10
    ? `${value.toFixed(2)} ms`
    : value < 10_000
      ? `${Math.round(value)} ms`
      : `${(value / 1_000).toFixed(1)} s`
}

const style = `
:root{color-scheme:light dark;--ink:#1d2430;--soft:#6b7585;--line:#dfe3ea;--page:#f6f7f9;--card:#fff;--bad:#c2323f;--c0:#2f6fde;--c1:#e08a1e;--c2:#2a9d6f;--c3:#9a5bd0;--c4:#c9485b;--c5:#2aa3b5;--c6:#8a8f3c;--c7:#8b93a1}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#98a2b3;--line:#2c333f;--page:#12161d;--card:#1a2029;--bad:#f0717c;--c0:#6fa0ff;--c1:#f0ab55;--c2:#5fcf9f;--c3:#c08cf0;--c4:#f08090;--c5:#62d0e0;--c6:#c0c670;--c7:#7d8696}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,Segoe UI,Roboto,sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:24px;margin:0;font-weight:650;overflow-wrap:anywhere}
h2{font-size:14px;margin:0 0 8px;font-weight:600}
header p{margin:4px 0 24px;color:var(--soft);overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin-bottom:16px}
.tiles div,figure,.columns>div{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px}
.tiles span,.tiles small{display:block;color:var(--soft);font-size:12.5px}
.tiles b{font-size:21px;font-weight:620;font-variant-numeric:tabular-nums}
figure{margin:0 0 16px}
figcaption{color:var(--soft);font-size:12.5px}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{fill:var(--soft);font-size:11px}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:12.5px;color:var(--soft);margin:0 0 6px;padding:0;list-style:none}
.legend i{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:6px}
.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:16px}
.columns>div{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:13.5px}
th,td{text-align:right;padding:4px 0 4px 12px;border-top:1px solid var(--line);white-space:nowrap}
th{color:var(--soft);font-weight:500;border-top:0}
th:first-child,td:first-child{text-align:left;padding-left:0}
`
