import { html } from './escape.ts'

export interface Curve {
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

/** A tick at the bottom of a plot. */
export interface Mark {
  readonly x: number
  readonly title: string
}

const width = 1_000
const height = 240
const left = 52
const right = 12
const top = 8
const bottom = 24

/** Lines over a common scale that begins at zero; `logX` for spans over several powers of ten. */
export function linePlot({
  curves,
  marks = [],
  xLabel,
  yLabel,
  logX = false,
}: {
  curves: readonly Curve[]
  marks?: readonly Mark[]
  xLabel: string
  yLabel: string
  logX?: boolean
}): string {
  const points = curves.flatMap((curve) => curve.points)
  if (points.length === 0) return '<p>nothing to show</p>'
  const xs = [...points.map(([x]) => x), ...marks.map(({ x }) => x)]
  const xMax = Math.max(...xs)
  const xMin = logX ? Math.max(1, Math.min(...xs.filter((x) => x > 0))) : 0
  const yTicks = ticks(Math.max(...points.map(([, y]) => y)))
  const yMax = yTicks.at(-1) ?? 1
  const share = (x: number) =>
    logX ? Math.log(Math.max(x, xMin) / xMin) / Math.log(Math.max(xMax, xMin * 1.01) / xMin) : x / Math.max(xMax, 1e-9)
  const px = (x: number) => (left + share(x) * (width - left - right)).toFixed(1)
  const py = (y: number) => (height - bottom - (y / yMax) * (height - top - bottom)).toFixed(1)
  const xTicks = logX ? powers(xMin, xMax) : ticks(xMax).filter((x) => x <= xMax)
  const lines = curves.map(
    (curve, index) =>
      `<polyline fill="none" stroke="var(--c${index})" stroke-width="1.8" stroke-linejoin="round" points="${curve.points.map(([x, y]) => `${px(x)},${py(y)}`).join(' ')}"/>`,
  )
  const failed = marks.map(
    ({ x, title }) =>
      `<rect x="${px(x)}" y="${height - bottom - 8}" width="1.6" height="8" fill="var(--bad)"><title>${html(title)}</title></rect>`,
  )
  return `${legend(curves.map(({ name }) => name))}<svg viewBox="0 0 ${width} ${height}" role="img">${grid(yTicks, py, yLabel)}${xAxis(xTicks, px, xLabel)}${lines.join('')}${failed.join('')}</svg>`
}

/** Shares of a whole over time, stacked. */
export function areaPlot({
  layers,
  stepSeconds,
}: {
  layers: readonly { readonly name: string; readonly values: readonly number[] }[]
  stepSeconds: number
}): string {
  const bins = layers[0]?.values.length ?? 0
  if (bins === 0) return '<p>nothing to show</p>'
  const totals = Array.from({ length: bins }, (_, bin) =>
    layers.reduce((sum, { values }) => sum + (values[bin] ?? 0), 0),
  )
  const px = (x: number) => (left + (x / Math.max(1, (bins - 1) * stepSeconds)) * (width - left - right)).toFixed(1)
  const py = (percent: number) => (height - bottom - (percent / 100) * (height - top - bottom)).toFixed(1)
  const below = new Array<number>(bins).fill(0)
  const areas = layers.map(({ values }, index) => {
    const low = [...below]
    values.forEach((value, bin) => {
      below[bin] = (below[bin] ?? 0) + ((totals[bin] ?? 0) === 0 ? 0 : (value / (totals[bin] as number)) * 100)
    })
    const up = below.map((percent, bin) => `${px(bin * stepSeconds)},${py(percent)}`)
    const down = low.map((percent, bin) => `${px(bin * stepSeconds)},${py(percent)}`).reverse()
    return `<polygon fill="var(--c${index % 8})" fill-opacity=".85" points="${[...up, ...down].join(' ')}"/>`
  })
  return `${legend(layers.map(({ name }) => name))}<svg viewBox="0 0 ${width} ${height}" role="img">${areas.join('')}${grid([0, 25, 50, 75, 100], py, '%')}${xAxis(
    ticks((bins - 1) * stepSeconds).filter((x) => x <= (bins - 1) * stepSeconds),
    px,
    's',
  )}</svg>`
}

function legend(names: readonly string[]): string {
  return `<ul class="legend">${names.map((name, index) => `<li><i style="background:var(--c${index % 8})"></i>${html(name)}</li>`).join('')}</ul>`
}

function grid(values: readonly number[], py: (y: number) => string, unit: string): string {
  return values
    .map(
      (value, index) =>
        `<line x1="${left}" x2="${width - right}" y1="${py(value)}" y2="${py(value)}" stroke="var(--line)" stroke-width="1"/><text x="${left - 8}" y="${Number(py(value)) + 4}" text-anchor="end">${short(value)}${index === values.length - 1 ? ` ${unit}` : ''}</text>`,
    )
    .join('')
}

function xAxis(values: readonly number[], px: (x: number) => string, unit: string): string {
  return values
    .map(
      (value, index) =>
        `<text x="${px(value)}" y="${height - 6}" text-anchor="${index === 0 ? 'start' : index === values.length - 1 ? 'end' : 'middle'}">${short(value)}${index === values.length - 1 ? ` ${unit}` : ''}</text>`,
    )
    .join('')
}

/** Round numbers from zero to at least the largest value. */
function ticks(max: number): number[] {
  if (!(max > 0)) return [0, 1]
  const rough = max / 4
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough) ?? rough
  return Array.from({ length: Math.ceil(max / step - 1e-9) + 1 }, (_, i) => i * step)
}

function powers(min: number, max: number): number[] {
  const values: number[] = []
  for (let power = Math.floor(Math.log10(min)); 10 ** power <= max; power++) {
    for (const factor of [1, 2, 5])
      if (factor * 10 ** power >= min && factor * 10 ** power <= max) values.push(factor * 10 ** power)
  }
  return values
}

function short(value: number): string {
  if (value >= 10_000) return `${Number((value / 1_000).toPrecision(3))}k`
  return String(Number(value.toPrecision(4)))
}
