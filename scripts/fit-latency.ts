// Fits src/simulator/latency-table.json on measured times, and says how well it fits.
//
//   node scripts/fit-latency.ts [--check]
//
// For each (accelerator, model, precision, GPUs, engine) with enough points, the straight-line form of
// src/simulator/latency.ts is fitted to the times to the first and to each further token. Then whole (accelerator,
// model) groups are kept out of a fit over all groups, which has to tell their times from what it knows of the
// accelerator at other models and of the model at other accelerators: five times, a fifth of the groups each, chosen by
// hash, so that every group has its turn. `--check` writes nothing and fails where
// the table is not what the fit gives.
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'
import { hashText } from '../src/core/rendezvous.ts'
import { crossGroupModel } from './fit-latency/cross-group.ts'
import { nonNegativeFit } from './fit-latency/non-negative-fit.ts'
import { type Point, readPoints } from './fit-latency/points.ts'

const measured = path.join(import.meta.dirname, '../examples/inference-performance/measured.csv.gz')
const target = path.join(import.meta.dirname, '../src/simulator/latency-table.json')
const pointsMin = 8
const turns = 5

const points = readPoints(gunzipSync(readFileSync(measured)).toString('utf8'))
const byReplica = Map.groupBy(points, ({ accelerator, weights, precision, gpus, engine }) =>
  JSON.stringify([accelerator, weights, precision, gpus, engine]),
)
const rows = [...byReplica.entries()]
  .filter(([, group]) => group.length >= pointsMin && new Set(group.map(({ input }) => input)).size > 1)
  .map(([key, group]) => {
    const [accelerator, weights, precision, gpus, engine] = JSON.parse(key) as [string, string, string, number, string]
    const first = nonNegativeFit(
      group.map(({ input, concurrency }) => [1, input, concurrency, input * concurrency]),
      group.map(({ firstTokenMs }) => firstTokenMs),
    )
    const each = nonNegativeFit(
      group.map(({ input, output, concurrency }) => [1, concurrency, concurrency * (input + output / 2)]),
      group.map(({ eachTokenMs }) => eachTokenMs),
    )
    return {
      accelerator,
      weights,
      precision,
      gpus,
      engine,
      points: group.length,
      concurrencyMax: Math.max(...group.map(({ concurrency }) => concurrency)),
      medianError: { first: first.medianError, each: each.medianError },
      first: first.coefficients,
      each: each.coefficients,
    }
  })
  .sort(
    (a, b) => keyOf(a).localeCompare(keyOf(b), 'en') || b.points - a.points || a.engine.localeCompare(b.engine, 'en'),
  )

function keyOf({ accelerator, weights, gpus }: { accelerator: string; weights: string; gpus: number }): string {
  return `${accelerator} ${weights} ${String(gpus).padStart(3, '0')}`
}

const percent = (share: number) => `${(share * 100).toFixed(1)}%`
const out = (line: string) => process.stdout.write(`${line}\n`)
const middle = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

out(
  `${points.length} points in ${rows.length} kinds of replica; median relative error of the fit, first and each further token:`,
)
for (const row of rows)
  out(
    `  ${keyOf(row).padEnd(44)} ${row.precision.padEnd(5)} ${row.engine.padEnd(7)} ${String(row.points).padStart(4)} points  ${percent(row.medianError.first).padStart(6)}  ${percent(row.medianError.each).padStart(6)}`,
  )
out(
  `median over the kinds: ${percent(middle(rows.map((row) => row.medianError.first)))} and ${percent(middle(rows.map((row) => row.medianError.each)))}`,
)

const groupOf = ({ accelerator, weights }: Point) => `${accelerator} ${weights}`
const turnOf = (group: string) => (hashText(group) >>> 0) % turns
const groups = [...Map.groupBy(points, groupOf)].filter(([, members]) => members.length >= pointsMin).sort()
out('\nkept out, each group once; median relative error of what the other groups tell about it:')
const errors: { first: number[]; each: number[] } = { first: [], each: [] }
for (let turn = 0; turn < turns; turn++) {
  const known = points.filter((point) => turnOf(groupOf(point)) !== turn)
  const firstOf = crossGroupModel(known, ({ firstTokenMs }) => firstTokenMs)
  const eachOf = crossGroupModel(known, ({ eachTokenMs }) => eachTokenMs)
  for (const [group, members] of groups.filter(([name]) => turnOf(name) === turn)) {
    const first = middle(members.map((point) => Math.abs(firstOf(point) / point.firstTokenMs - 1)))
    const each = middle(members.map((point) => Math.abs(eachOf(point) / point.eachTokenMs - 1)))
    errors.first.push(first)
    errors.each.push(each)
    const isKnown = (of: (point: Point) => string) => known.some((point) => of(point) === of(members[0] as Point))
    const notes = [
      ...(isKnown(({ accelerator }) => accelerator) ? [] : ['accelerator in no other group']),
      ...(isKnown(({ weights }) => weights) ? [] : ['model in no other group']),
    ]
    out(
      `  ${group.padEnd(40)} ${String(members.length).padStart(4)} points  ${percent(first).padStart(6)}  ${percent(each).padStart(6)}  ${notes.join(', ')}`.trimEnd(),
    )
  }
}
out(`median over the groups: ${percent(middle(errors.first))} and ${percent(middle(errors.each))}`)

const table = `[\n${rows.map((row) => `  ${JSON.stringify(row)}`).join(',\n')}\n]\n`
if (!process.argv.includes('--check')) writeFileSync(target, table)
else if (readFileSync(target, 'utf8') !== table) {
  process.stderr.write(`${target} is not what the fit gives; run it without --check\n`)
  process.exitCode = 1
}
