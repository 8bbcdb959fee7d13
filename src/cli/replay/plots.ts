import { html } from './escape.ts'

export interface Curve {
  readonly name: string
  /** Its colour, by number; in the order of the curves where it is not given. */
  readonly color?: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

/** Where a value stands on an axis, from 0 to 1, and which values are written beside it. */
export interface Scale {
  readonly label: string
  readonly ticks: readonly number[]
  at(value: number): number
  format(value: number): string
}

type Format = (value: number) => string

/** From zero to a round number not below `max`. */
export function linearScale(label: string, max: number, format: Format = short): Scale {
  const ticks = roundSteps(max)
  const top = ticks.at(-1) as number
  return { label, ticks, format, at: (value) => value / top }
}

/** From zero to `max` exactly: for time, which should fill the plot. */
export function timeScale(seconds: number): Scale {
  const inMinutes = seconds > 600
  const unit = inMinutes ? 60 : 1
  const ticks = roundSteps(seconds / unit, 6).map((tick) => tick * unit)
  return {
    label: inMinutes ? 'minutes since the first request' : 'seconds since the first request',
    ticks: ticks.filter((tick) => tick <= seconds),
    format: (value) => short(value / unit),
    at: (value) => value / seconds,
  }
}

/** Over powers of ten, for values above zero; the ends are 1, 2 or 5 times such a power. */
export function logScale(label: string, min: number, max: number, format: Format = short): Scale {
  const steps = oneTwoFives(min, Math.max(max, min * 2))
  const [low, high] = [steps[0] as number, steps.at(-1) as number]
  const tens = steps.filter((step) => Number.isInteger(Number(Math.log10(step).toFixed(9))))
  const span = Math.log(high / low)
  return {
    label,
    ticks: steps.length <= stepsShownMax || tens.length < 2 ? steps : tens,
    format,
    at: (value) => Math.log(Math.max(value, low) / low) / span,
  }
}

const stepsShownMax = 10

/** Lines over two scales. `spans`: parts of the x axis to shade, `[from, to]`. */
export function linePlot(
  curves: readonly Curve[],
  x: Scale,
  y: Scale,
  spans: readonly (readonly [from: number, to: number])[] = [],
): string {
  if (curves.every(({ points }) => points.length === 0)) return nothing
  const shown = curves.map((curve, index) => ({ ...curve, color: curve.color ?? `c${index}` }))
  const lines = shown.map(({ points, color }) => {
    const path = points.map(([px, py]) => `${percent(x.at(px))},${percent(1 - y.at(py))}`).join(' ')
    return `<polyline fill="none" stroke="var(--${color})" stroke-width="1.75" stroke-linejoin="round" vector-effect="non-scaling-stroke" points="${path}"/>`
  })
  const shades = spans.map(([from, to]) => {
    const [left, right] = [x.at(from), x.at(to)].map((at) => Math.min(1, Math.max(0, at))) as [number, number]
    return `<rect x="${percent(left)}" width="${percent(right - left)}" y="0" height="100" fill="var(--bad)" opacity="0.09"/>`
  })
  return legend(shown) + frame([...shades, ...lines].join(''), x, y)
}

/** Parts of a whole over time, stacked: each layer has one value for each step of time. */
export function sharePlot(
  layers: readonly { name: string; values: readonly number[] }[],
  x: Scale,
  step: number,
): string {
  const steps = layers[0]?.values.length ?? 0
  if (steps === 0) return nothing
  const totals = Array.from({ length: steps }, (_, i) => layers.reduce((sum, { values }) => sum + (values[i] ?? 0), 0))
  const y = linearScale('share of the answers', 100, (value) => `${value}%`)
  let low = new Array<number>(steps).fill(0)
  const areas = layers.map(({ values }, index) => {
    const high = low.map((from, i) => from + ((values[i] ?? 0) / Math.max(1, totals[i] ?? 0)) * 100)
    // Each step is as wide as the time it stands for.
    const edge = (heights: readonly number[]) =>
      heights.flatMap((height, i) =>
        [i, i + 1].map((at) => `${percent(Math.min(1, x.at(at * step)))},${percent(1 - y.at(height))}`),
      )
    const area = `<polygon fill="var(--c${index})" points="${[...edge(high), ...edge(low).reverse()].join(' ')}"/>`
    low = high
    return area
  })
  return legend(layers.map(({ name }, index) => ({ name, color: `c${index}` }))) + frame(areas.join(''), x, y)
}

const nothing = '<p class="nothing">nothing to show</p>'

function legend(entries: readonly { readonly name: string; readonly color: string }[]): string {
  const items = entries.map(({ name, color }) => `<li><i style="background:var(--${color})"></i>${html(name)}</li>`)
  return `<ul class="legend">${items.join('')}</ul>`
}

/**
 * What is drawn stretches with the page; what is written does not, so it stands beside the drawing as text of the page.
 */
function frame(drawing: string, x: Scale, y: Scale): string {
  const lines = y.ticks.map((tick) => {
    const at = percent(1 - y.at(tick))
    return `<line x1="0" x2="100" y1="${at}" y2="${at}" stroke="var(--line)" vector-effect="non-scaling-stroke"/>`
  })
  const marks = [
    ...y.ticks.map((tick) => `<span class="y" style="bottom:${percent(y.at(tick))}%">${y.format(tick)}</span>`),
    ...x.ticks.map((tick) => `<span class="x" style="left:${percent(x.at(tick))}%">${x.format(tick)}</span>`),
  ]
  return `<div class="plot"><svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">${lines.join('')}${drawing}</svg>${marks.join('')}</div><p class="axes"><span>↑ ${y.label}</span><span>${x.label} →</span></p>`
}

/** With two digits after the point: a hundredth of a percent of the plot is less than a pixel. */
function percent(share: number): string {
  return String(Number((share * 100).toFixed(2)))
}

/** Round numbers from zero to at least `max`, with up to so many steps between them. */
function roundSteps(max: number, stepsMax = 4): number[] {
  if (!(max > 0)) return [0, 1]
  const rough = max / stepsMax
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= rough * (1 - 1e-9)) ?? rough
  return Array.from({ length: Math.ceil(max / step - 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(12)))
}

/** The numbers 1, 2, 5, 10, 20, … from the last not above `min` to the first not below `max`. */
function oneTwoFives(min: number, max: number): number[] {
  const steps: number[] = []
  for (let power = Math.floor(Math.log10(min)); ; power++) {
    for (const factor of [1, 2, 5]) {
      const step = Number((factor * 10 ** power).toPrecision(6))
      if (step <= min) steps.splice(0, steps.length, step)
      else steps.push(step)
      if (step >= max) return steps
    }
  }
}

function short(value: number): string {
  return value >= 10_000 ? `${Number((value / 1_000).toPrecision(3))}k` : String(Number(value.toPrecision(4)))
}
