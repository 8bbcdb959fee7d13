// Fits src/simulator/latency-table.json on measured times, and says how well it fits.
//
//   node scripts/fit-latency.ts [--check] [--kept-out]
//
// For each (accelerator, model, precision, GPUs, engine) with enough points, the straight-line form of
// src/simulator/latency.ts is fitted to the times to the first and to each further token. `--check` writes nothing and
// fails where the table is not what the fit gives. `--kept-out` tells how far the times of kinds that nobody measured can
// be told from the others (some two minutes): see fit-latency/kept-out.ts.
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'
import { keptOut } from './fit-latency/kept-out.ts'
import { middle, percent } from './fit-latency/middle.ts'
import { nonNegativeFit } from './fit-latency/non-negative-fit.ts'
import { readPoints, settingOf } from './fit-latency/points.ts'

const measured = path.join(import.meta.dirname, '../examples/inference-performance/measured.csv.gz')
const target = path.join(import.meta.dirname, '../src/simulator/latency-table.json')
const pointsMin = 8

const all = readPoints(gunzipSync(readFileSync(measured)).toString('utf8'))
// Of a setting that was measured again, the newest is what one would get now.
const newest = new Map(all.toReversed().map((point) => [settingOf(point), point]))
const points = [...newest.values()]
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

const out = (line: string) => process.stdout.write(`${line}\n`)
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
if (process.argv.includes('--kept-out')) for (const line of keptOut(all, pointsMin)) out(line)

const table = `[\n${rows.map((row) => `  ${JSON.stringify(row)}`).join(',\n')}\n]\n`
if (!process.argv.includes('--check')) writeFileSync(target, table)
else if (readFileSync(target, 'utf8') !== table) {
  process.stderr.write(`${target} is not what the fit gives; run it without --check\n`)
  process.exitCode = 1
}
