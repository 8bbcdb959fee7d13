import { describe, expect, test } from 'vitest'
import { type ClientRecord, type Source, sourcesOf } from '../../simulator/demand.ts'
import { blockTokens, PrefixCache } from '../../simulator/prefix-cache.ts'
import { tenantsOf } from '../../simulator/tenants.ts'
import { scenarioWith } from '../../simulator/testing.ts'
import { gaps, lengths, meanAndVariance, perBin, round } from './testing.ts'
import { worldOf } from './world.ts'

/** The sources of a demand, and the files they were made of. */
function sourcesFor(demand: Readonly<Record<string, unknown>>) {
  const scenario = scenarioWith({
    pools: {
      one: {
        model: 'chat',
        subProcessor: 'one',
        country: 'GB',
        replicas: 1,
        accelerator: 'h200',
        weights: 'gpt-oss-120b',
      },
    },
    demand: [{ model: 'chat', tenants: { acme: 1 }, ...demand }],
  })
  const { files } = worldOf(scenario, import.meta.dirname)
  return { sources: sourcesOf(scenario, tenantsOf(scenario), files), files }
}

function arrivalsOf(source: Source, untilMs: number) {
  const list: { readonly atMs: number; readonly input: number; readonly output: number }[] = []
  while (source.nextMs < untilMs) {
    const atMs = source.nextMs
    const { input, output } = source.take()
    list.push({ atMs, input, output })
  }
  return list
}

/** Of ten seconds and of a minute: variance of the counts over their mean, and the highest over the mean. */
function unevenness(times: readonly number[], binMs: number) {
  const counts = perBin(times, binMs)
  const { mean, variance } = meanAndVariance(counts)
  return [round(variance / mean, 3), round(Math.max(...counts) / mean, 3)]
}

describe('a recorded trace comes to the fleet as it was recorded', () => {
  // The figures were taken from the files by other means (NumPy).
  test.each([
    {
      file: 'azure-2023-conversation-40m',
      wanted: {
        requests: 14_176,
        spanSeconds: 2_399.965,
        gapsVariation: 1.0785,
        bySecond: [1.335, 2.709],
        byTenSeconds: [3.467, 1.66],
        byMinute: [15.125, 1.427],
        input: { mean: 1_195.14, p50: 1_015, p90: 4_074, p95: 4_085, p99: 4_121.25, max: 14_050 },
        output: { mean: 201.5, p50: 115, p90: 421, p95: 448, p99: 598, max: 1_000 },
      },
    },
    {
      file: 'azure-2023-code-40m',
      wanted: {
        requests: 7_491,
        spanSeconds: 2_392.556,
        gapsVariation: 12.5749,
        bySecond: [12.942, 21.403],
        byTenSeconds: [70.208, 10.447],
        byMinute: [154.928, 3.376],
        input: { mean: 2_040.11, p50: 1_465, p90: 5_177, p95: 7_163, p99: 7_436, max: 7_437 },
        output: { mean: 27.58, p50: 13, p90: 55, p95: 88, p99: 248.1, max: 1_899 },
      },
    },
    {
      file: 'mooncake-conversation-40m',
      wanted: {
        requests: 7_851,
        spanSeconds: 2_397,
        gapsVariation: 2.9707,
        // Not by the second: its times are stamped in batches three seconds apart.
        byTenSeconds: [2.049, 1.712],
        byMinute: [2.912, 1.265],
        input: { mean: 12_427.96, p50: 7_284, p90: 27_991, p95: 40_369, p99: 89_868, max: 124_847 },
        output: { mean: 347.08, p50: 356, p90: 606, p95: 712, p99: 1_168, max: 2_000 },
      },
    },
  ])('$file', ({ file, wanted }) => {
    const { sources } = sourcesFor({ kind: 'trace', file })
    const requests = arrivalsOf(sources[0] as Source, Number.POSITIVE_INFINITY)
    const times = requests.map(({ atMs }) => atMs)
    const { mean, variance } = meanAndVariance(gaps(times))
    expect({
      requests: requests.length,
      spanSeconds: round((times.at(-1) as number) / 1_000, 3),
      gapsVariation: round(Math.sqrt(variance) / mean, 4),
      bySecond: unevenness(times, 1_000),
      byTenSeconds: unevenness(times, 10_000),
      byMinute: unevenness(times, 60_000),
      input: lengths(requests.map(({ input }) => input)),
      output: lengths(requests.map(({ output }) => output)),
    }).toMatchObject(wanted)
  })

  test('35.1% of the blocks of Mooncake’s prompts have been read before', () => {
    const { sources } = sourcesFor({ kind: 'trace', file: 'mooncake-conversation-40m' })
    const source = sources[0] as Source
    const cache = new PrefixCache(Number.MAX_SAFE_INTEGER)
    let read = 0
    let known = 0
    while (Number.isFinite(source.nextMs)) {
      const { blocks = [] } = source.take()
      read += blocks.length * blockTokens
      known += cache.use(blocks)
    }
    expect(round(known / read, 3)).toBe(0.351)
  })
})

describe('recorded clients ask anew as they did', () => {
  const dayMs = 86_400_000
  const windowMs = 600_000
  const { sources, files } = sourcesFor({
    kind: 'clients',
    file: '../../../examples/traces/servegen-deepseek-r1-rates.csv.gz',
    tokens: '../../../examples/traces/servegen-deepseek-r1-tokens.csv.gz',
  })
  const clients = Object.values(files.clients)[0] as readonly ClientRecord[]
  const days = sources.map((source) => arrivalsOf(source, dayMs))
  const total = days.reduce((sum, { length }) => sum + length, 0)
  const relative = (value: number, wanted: number) => Math.abs(value / wanted - 1)

  // As published of this day of DeepSeek-R1 at Alibaba; how near a generator must come is the data's own advice.
  test('73 of them, 16 requests a second, at the peak 2.7 times as many: within 5%', () => {
    expect(clients).toHaveLength(73)
    expect(relative(total / (dayMs / 1_000), 16.015)).toBeLessThan(0.05)
    const windows = perBin(
      days.flatMap((day) => day.map(({ atMs }) => atMs)),
      windowMs,
    )
    expect(relative(Math.max(...windows) / meanAndVariance(windows).mean, 2.655)).toBeLessThan(0.05)
  })

  test('the largest has 28.6% of the requests, the ten largest 67.7%: within 3 points', () => {
    const shares = days.map((day) => day.length / total).sort((a, b) => b - a)
    expect(Math.abs((shares[0] as number) - 0.286)).toBeLessThan(0.03)
    expect(Math.abs(shares.slice(0, 10).reduce((sum, share) => sum + share, 0) - 0.677)).toBeLessThan(0.03)
  })

  test('their gaps vary 2.28 times as much as their mean, weighted by rate: within 15%', () => {
    let weighted = 0
    let weights = 0
    days.forEach((day, client) => {
      const byWindow = Map.groupBy(day, ({ atMs }) => Math.floor(atMs / windowMs) * windowMs)
      for (const { fromMs, perSecond } of (clients[client] as ClientRecord).rates) {
        const times = (byWindow.get(fromMs) ?? []).map(({ atMs }) => atMs)
        if (times.length < 20) continue // too few to tell a variation from
        const { mean, variance } = meanAndVariance(gaps(times))
        weighted += (perSecond * Math.sqrt(variance)) / mean
        weights += perSecond
      }
    })
    expect(relative(weighted / weights, 2.28)).toBeLessThan(0.15)
  })

  test('the lengths of a client are its own: the first one asks briefly', () => {
    const { p50, p90 } = lengths((days[0] ?? []).map(({ input }) => input))
    // Means over its four windows of six hours.
    expect(relative(p50, 166.75)).toBeLessThan(0.05)
    expect(relative(p90, 215)).toBeLessThan(0.05)
  })
})
