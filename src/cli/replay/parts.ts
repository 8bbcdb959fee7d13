import { html } from './escape.ts'
import { duration } from './format.ts'
import { type Curve, logScale, type Scale } from './plots.ts'
import { style } from './style.ts'

/** The beginning of a page that runs no script and loads nothing. `css` stands behind the common style. */
export function pageHead(title: string, css = ''): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${html(title)}</title>
<style>${style}${css}</style>
</head>`
}

export function highest(curves: readonly Curve[]): number {
  return curves.flatMap(({ points }) => points).reduce((most, [, y]) => Math.max(most, y), 0)
}

/** A scale of times that holds all curves; `axis` is that of theirs which is a time. */
export function logScaleOver(curves: readonly Curve[], axis: 0 | 1, label: string): Scale {
  const times = curves.flatMap(({ points }) => points.map((point) => Math.max(0.1, point[axis])))
  const min = times.reduce((least, ms) => Math.min(least, ms), Number.POSITIVE_INFINITY)
  const max = times.reduce((most, ms) => Math.max(most, ms), 0)
  return times.length === 0 ? logScale(label, 1, 1_000, duration) : logScale(label, min, max, duration)
}

export function tile(label: string, value: string, note: string): string {
  return `<div><span>${label}</span><b>${value}</b><small>${note}</small></div>`
}

export function figure(title: string, plot: string): string {
  return `<figure><h2>${title}</h2>${plot}</figure>`
}

export function table(title: string, columns: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return ''
  const cells = (tag: string, row: readonly string[]) =>
    `<tr>${row.map((cell) => `<${tag}>${html(cell)}</${tag}>`).join('')}</tr>`
  return `<div><h2>${title}</h2><table><thead>${cells('th', columns)}</thead><tbody>${rows.map((row) => cells('td', row)).join('')}</tbody></table></div>`
}
