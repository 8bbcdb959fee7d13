import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import type { ClientRecord } from '../../simulator/demand.ts'
import type { Distribution } from '../../simulator/distribution.ts'

const ratesHead = 'client_id,window_start_s,rate_rps,interarrival_cv'
const tokensHead = 'client_id,window_start_s,field,mean,p50,p90,p95,p99'

/**
 * Recorded clients in ServeGen's columns: how often each asks in windows of ten minutes, and how long its prompts and
 * answers are. A client whose lengths were not recorded is given those of all others together.
 */
export function readClients(ratesFile: string, tokensFile: string): ClientRecord[] {
  const rates = new Map<string, { fromMs: number; perSecond: number; variation: number }[]>()
  for (const [client = '', from, perSecond, variation] of rowsOf(ratesFile, ratesHead)) {
    const windows = rates.get(client) ?? []
    rates.set(client, windows)
    windows.push({ fromMs: Number(from) * 1_000, perSecond: Number(perSecond), variation: Number(variation) })
  }
  const lengths = new Map<string, Quantiles[]>()
  for (const [client = '', , field = '', ...numbers] of rowsOf(tokensFile, tokensHead)) {
    const [, p50 = 1, p90 = 1, p95 = 1, p99 = 1] = numbers.map(Number)
    for (const key of [`${client} ${field}`, field]) {
      const list = lengths.get(key) ?? []
      lengths.set(key, list)
      list.push([p50, p90, p95, p99])
    }
  }
  const lengthOf = (client: string, field: string): Distribution =>
    distribution(lengths.get(`${client} ${field}`) ?? lengths.get(field) ?? [[1, 1, 1, 1]])
  return [...rates].map(([client, windows]) => ({
    rates: windows.sort((a, b) => a.fromMs - b.fromMs),
    input: lengthOf(client, 'input_tokens'),
    output: lengthOf(client, 'output_tokens'),
  }))
}

type Quantiles = readonly [p50: number, p90: number, p95: number, p99: number]

/** The mean of the windows' quantiles; the ends lie as far out as the last quantiles are apart. */
function distribution(windows: readonly Quantiles[]): Distribution {
  const mean = (at: 0 | 1 | 2 | 3) => windows.reduce((sum, window) => sum + window[at], 0) / windows.length
  const [p50, p90, p95, p99] = [mean(0), mean(1), mean(2), mean(3)]
  return {
    quantiles: [
      [0, Math.max(1, 2 * p50 - p90)],
      [0.5, p50],
      [0.9, Math.max(p50, p90)],
      [0.95, Math.max(p90, p95)],
      [0.99, Math.max(p95, p99)],
      [1, Math.max(p95, 2 * p99 - p95)],
    ],
  }
}

function rowsOf(file: string, head: string): string[][] {
  const bytes = readFileSync(file)
  const text = (bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes).toString('utf8')
  const [first = '', ...lines] = text.trim().split(/\r?\n/)
  if (!first.startsWith(head)) throw new Error(`${file} has not the columns ${head}`)
  return lines.map((line) => line.split(','))
}
