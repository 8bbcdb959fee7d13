import type { Report, Timeline } from '../../simulator/report.ts'
import { html } from '../replay/escape.ts'
import { count } from '../replay/format.ts'
import { figure, highest, logScaleOver, pageHead, table, tile } from '../replay/parts.ts'
import { type Curve, linearScale, linePlot, type Scale, timeScale } from '../replay/plots.ts'
import { classTable, faultTable, groupTable, headline, lossTable, poolTable, type Table } from './rows.ts'

const poolsShown = 8

/** One page that says it all: no script, nothing loaded from elsewhere, light and dark. */
export function simulationPage(report: Report, timeline: Timeline): string {
  const { name, seed, digest, simulatedSeconds, requests, violations } = report
  const seconds = timeline.waiting.length * timeline.binSeconds
  const x: Scale = { ...timeScale(seconds), label: seconds > 600 ? 'simulated minutes' : 'simulated seconds' }
  const part = (title: string, { columns, rows }: Table) => table(title, columns, rows)
  return `${pageHead(`Simulation: ${name}`, ownStyle)}
<body>
<main>
<header>
<h1>${html(name)}</h1>
<p>${count(requests)} requests in ${count(simulatedSeconds)} simulated seconds, seed ${seed}, digest ${digest}</p>
${violations.map(({ rule, detail }) => `<p class="note">broken: ${html(rule)}: ${html(detail)}</p>`).join('\n')}
</header>
<section class="tiles">
${headline(report)
  .map(([title, value, note]) => tile(html(title), html(value), html(note)))
  .join('\n')}
</section>
${timeline.faults.length > 0 ? `<section class="figures faulty">${figure('What went wrong when', faultPlot(timeline, x))}</section>` : ''}
<section class="figures">
${figure('Tokens', tokenPlot(timeline, x))}
${figure('First token', firstTokenPlot(timeline, x))}
${figure('Waiting', linePlotOf(timeline, [{ name: 'requests waiting', points: points(timeline, timeline.waiting) }], x, 'requests'))}
${figure('Refused', refusalPlot(timeline, x))}
${figure('Slots in use', utilisationPlot(timeline, x))}
</section>
<section class="tables wide">
${part('Plans', groupTable('plan', report.plans))}
${part('Classes', classTable(report))}
${part('Countries', groupTable('country', report.countries))}
${part('Pools', poolTable(report))}
${part('Faults', faultTable(report))}
${part('Losses', lossTable(report))}
${part('Largest tenants', groupTable('tenant', report.tenants))}
</section>
</main>
</body>
</html>
`
}

function points({ binSeconds }: Timeline, values: readonly number[]): [number, number][] {
  return values.map((value, bin): [number, number] => [(bin + 0.5) * binSeconds, value])
}

function linePlotOf(timeline: Timeline, curves: readonly Curve[], x: Scale, label: string): string {
  return linePlot(curves, x, linearScale(label, highest(curves)), spansOf(timeline))
}

/** When something was wrong, for every plot to show. */
function spansOf({ faults }: Timeline): [number, number][] {
  return faults.map(({ startSeconds, endSeconds }) => [startSeconds, endSeconds])
}

function refusalPlot(timeline: Timeline, x: Scale): string {
  if (timeline.refusalsPerSecond.every((value) => value === 0)) return '<p class="nothing">nobody was refused</p>'
  const curve = { name: 'refusals', color: 'bad', points: points(timeline, timeline.refusalsPerSecond) }
  return linePlotOf(timeline, [curve], x, 'a second')
}

function tokenPlot(timeline: Timeline, x: Scale): string {
  const curves: Curve[] = [
    { name: 'asked for', color: 'c7', points: points(timeline, timeline.offeredTokensPerSecond) },
    ...timeline.goodTokensPerSecond.map(({ plan, values }) => ({
      name: `in time, ${plan}`,
      points: points(timeline, values),
    })),
  ].map((curve, index) => ({ ...curve, color: index === 0 ? 'c7' : `c${(index - 1) % 7}` }))
  return linePlotOf(timeline, curves, x, 'tokens a second, by when they were asked for')
}

function firstTokenPlot(timeline: Timeline, x: Scale): string {
  const curve = (name: string, of: 'p50' | 'p95'): Curve => ({
    name,
    points: timeline.firstTokenMs.flatMap((bin, at): [number, number][] =>
      bin.count === 0 ? [] : [[(at + 0.5) * timeline.binSeconds, Math.max(1, bin[of])]],
    ),
  })
  const curves = [curve('median', 'p50'), curve('95th percentile', 'p95')]
  return linePlot(curves, x, logScaleOver(curves, 1, 'time to the first token'), spansOf(timeline))
}

function utilisationPlot(timeline: Timeline, x: Scale): string {
  const curves = timeline.utilisation.slice(0, poolsShown).map(({ pool, values }) => ({
    name: pool,
    points: points(
      timeline,
      values.map((share) => share * 100),
    ),
  }))
  return linePlot(
    curves,
    x,
    linearScale('slots in use', 100, (value) => `${value}%`),
    spansOf(timeline),
  )
}

/** A bar for each fault, over the same time as the plots. */
function faultPlot({ faults }: Timeline, x: Scale): string {
  const bars = faults.map(({ name, startSeconds, endSeconds }) => {
    const from = 100 * x.at(startSeconds)
    const width = Math.max(0.3, 100 * Math.min(1, x.at(endSeconds)) - from)
    return `<li><span>${html(name)}</span><div><i style="margin-left:${from.toFixed(2)}%;width:${width.toFixed(2)}%"></i></div></li>`
  })
  return `<ol class="faults">${bars.join('')}</ol>`
}

const ownStyle = `
.faults{list-style:none;margin:0 14px 0 56px;padding:0;font-size:13px;color:var(--soft)}
.faults li{margin:6px 0}
.faults div{background:var(--line);border-radius:4px;height:10px;overflow:hidden}
.faults i{display:block;height:10px;background:var(--bad);border-radius:4px}
.faulty>figure{flex-basis:100%}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(200px,1fr))}
.wide>div,.wide>div:first-child{flex:1 1 auto;max-width:100%}
.wide td:first-child{white-space:nowrap}
`
