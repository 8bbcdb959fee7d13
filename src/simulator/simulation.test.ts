import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { eligibilityOf } from '../core/request.ts'
import { Scheduler } from '../core/scheduler.ts'
import { reportOf } from './report.ts'
import type { Scenario } from './scenario-schema.ts'
import { simulate } from './simulation.ts'
import { plainLaw, run, scenarioWith, smallReplica } from './testing.ts'

const pool = (subProcessor: string, country: string, more: object = {}) => ({
  model: 'chat',
  subProcessor,
  country,
  replicas: 2,
  concurrencyMax: 8,
  latency: smallReplica,
  ...more,
})

const demand = (requestsPerSecond: number, tenants: Record<string, number> = { acme: 1 }) => ({
  kind: 'steady',
  model: 'chat',
  tenants,
  requestsPerSecond,
  input: 500,
  output: { mean: 100 },
})

const busy = (parts: object = {}): Scenario =>
  scenarioWith({
    seed: 5,
    clients: { retries: 2 },
    pools: { a: pool('one', 'GB'), b: pool('two', 'NL'), c: pool('three', 'US', { balancedBy: 'spillway' }) },
    demand: [demand(30)],
    faults: [
      { kind: 'loss', at: '2m', for: '1m', where: { subProcessor: 'one' } },
      { kind: 'rate-limits', at: '4m', for: '1m', share: 0.5, retryAfter: '2s', where: { country: 'NL' } },
      { kind: 'stall', at: '5m', for: '90s', share: 0.5, where: { pools: ['c'] } },
      { kind: 'slow', at: '7m', for: '1m', times: 4 },
    ],
    ...parts,
  })

describe('the simulator', { timeout: 60_000 }, () => {
  test('decides nothing itself: only its host imports the scheduler, and nothing of the core that decides', () => {
    const dir = import.meta.dirname
    const files = readdirSync(dir).filter((name) => name.endsWith('.ts') && !/\.test\.ts$/.test(name))
    const imports = files.flatMap((name) =>
      [...readFileSync(path.join(dir, name), 'utf8').matchAll(/from '(\.\.\/core\/[^']+)'/g)].map(
        ([, target = '']) => ({
          name,
          target: target.slice('../core/'.length),
        }),
      ),
    )
    const vocabulary =
      /^(clock|endpoint|errors|events|failure|ids|random|request|rendezvous|deadline-heap|service-class)\.ts$/
    expect(imports.filter(({ target }) => !vocabulary.test(target))).toEqual([
      { name: 'simulation.ts', target: 'scheduler.ts' },
    ])
    expect(readFileSync(path.join(dir, 'simulation.ts'), 'utf8')).toMatch(/new Scheduler\(/)
  })

  test('gives the same digest for the same seed and another for another', () => {
    const first = run(busy())
    expect(run(busy()).digest).toBe(first.digest)
    expect(run(busy({ seed: 6 })).digest).not.toBe(first.digest)
  })

  test('keeps every rule and loses no request while vendors fail in four ways', () => {
    const outcome = run(busy())
    expect(outcome.violations).toEqual([])
    const [tally] = outcome.recorder.tallies
    const { offered = 0, served = 0, lost = 0 } = tally ?? {}
    expect(offered).toBeGreaterThan(15_000)
    // What is neither served nor lost is open, or its client waits to ask again.
    expect(offered - served - lost).toBeGreaterThanOrEqual(0)
    expect(offered - served - lost).toBeLessThan(200)
  })

  test('recovers from a lost vendor, and says how long it took', () => {
    const { recoveries } = reportOf(
      run(busy({ faults: [{ kind: 'loss', at: '2m', for: '1m', where: { subProcessor: 'one' } }] })),
    )
    expect(recoveries).toHaveLength(1)
    expect(recoveries[0]?.recoverySeconds).toBeLessThanOrEqual(60)
  })

  test('tells nobody served where the terms do not allow it', () => {
    const scenario = busy({
      tenants: {
        acme: { plan: 'team', country: 'NL', countries: ['NL'], subProcessors: ['two'] },
        nobody: { plan: 'team', country: 'NL', countries: [], subProcessors: 'any' },
      },
      demand: [demand(5), demand(1, { nobody: 1 })],
    })
    const outcome = run(scenario)
    expect(outcome.recorder.residencyBreaches).toBe(0)
    expect(outcome.recorder.tallies[1]?.served).toBe(0)
    expect([...(outcome.recorder.tallies[1]?.refusals.keys() ?? [])]).toEqual(['no_eligible_endpoint'])
  })

  test('takes the scheduler itself where nothing else is asked to decide, and tells an observer what came of it', () => {
    const scenario = busy()
    const latencies = { a: smallReplica, b: smallReplica, c: smallReplica }
    const world = { law: plainLaw, files: { traces: {}, clients: {} }, latencies }
    let offered = 0
    let served = 0
    const observed = simulate(scenario, {
      ...world,
      decider: (policy, random) => new Scheduler(policy, random),
      observer: {
        offered: () => offered++,
        served(_arrival, bornMs, askedMs, firstTokenMs) {
          served++
          expect(askedMs).toBeGreaterThanOrEqual(bornMs)
          expect(firstTokenMs).toBeGreaterThan(askedMs)
        },
      },
    })
    expect(observed.digest).toBe(run(scenario).digest)
    const { tallies } = observed.recorder
    expect([offered, served]).toEqual([tallies[0]?.offered, tallies[0]?.served])
  })

  test('lets a surge run a trace faster for its time, and goes on where it then is', () => {
    const rows = Array.from({ length: 200 }, (_, at) => ({
      atMs: at * 1_000,
      inputTokens: 10,
      outputTokens: 10,
      blocks: [],
    }))
    const bornMs: number[] = []
    simulate(
      scenarioWith({
        duration: '100s',
        pools: { a: pool('one', 'GB') },
        demand: [{ kind: 'trace', model: 'chat', tenants: { acme: 1 }, file: 'rows' }],
        faults: [{ kind: 'surge', at: '20s', for: '10s', times: 4 }],
      }),
      {
        law: plainLaw,
        files: { traces: { rows }, clients: {} },
        latencies: { a: smallReplica },
        observer: { offered: (_arrival, atMs) => bornMs.push(atMs), served: () => {} },
      },
    )
    const between = (fromMs: number, toMs: number) => bornMs.filter((atMs) => atMs > fromMs && atMs <= toMs).length
    expect([between(0, 20_000), between(20_000, 30_000), between(30_000, 99_000)]).toEqual([20, 40, 69])
  })

  test('counts a breach where the law that was handed in is wrong', () => {
    const scenario = busy({
      tenants: { acme: { plan: 'team', country: 'NL', countries: ['NL'], subProcessors: 'any' } },
      faults: [],
    })
    const { recorder } = simulate(scenario, {
      law: (endpoints, version) => {
        const everywhere = eligibilityOf(
          endpoints.map(({ index }) => index),
          endpoints.length,
          version,
        )
        return () => everywhere
      },
      files: { traces: {}, clients: {} },
      latencies: { a: smallReplica, b: smallReplica, c: smallReplica },
    })
    expect(recorder.residencyBreaches).toBeGreaterThan(0)
  })

  test('changes nothing for a tenant when another is added that shares no place with it', () => {
    const tenants = {
      acme: { plan: 'team', country: 'GB', countries: ['GB'], subProcessors: 'any' },
      other: { plan: 'team', country: 'US', countries: ['US'], subProcessors: 'any' },
    }
    const alone = run(busy({ tenants, demand: [demand(10)], faults: [] })).recorder.tallies[0]
    const together = run(busy({ tenants, demand: [demand(10), demand(10, { other: 1 })], faults: [] })).recorder
      .tallies[0]
    expect([together?.offered, together?.served, together?.outputTokens]).toEqual([
      alone?.offered,
      alone?.served,
      alone?.outputTokens,
    ])
    expect(together?.firstTokenMs.mean).toBeCloseTo(alone?.firstTokenMs.mean ?? 0, 6)
  })

  test('comes to the same whatever the vendors are called', () => {
    const named = (one: string, two: string) =>
      reportOf(run(busy({ pools: { a: pool(one, 'GB'), b: pool(two, 'NL') }, faults: [] })))
    const { pools: _, ...first } = named('one', 'two')
    const { pools: __, ...second } = named('x', 'y')
    expect(second).toEqual(first)
  })

  test.each([1, 2, 3])('serves no less with more capacity (seed %i)', (seed) => {
    const goodput = (replicas: number) =>
      reportOf(
        run(
          busy({
            seed,
            duration: '3m',
            pools: { a: pool('one', 'GB', { replicas }), b: pool('two', 'NL') },
            demand: [demand(40)],
            faults: [],
          }),
        ),
      ).goodput
    const all = [1, 2, 3, 4].map(goodput)
    expect(all).toEqual(all.toSorted((a, b) => a - b))
    expect(all.at(-1)).toBeGreaterThan((all[0] as number) + 0.1)
  })

  test('reads a prompt from the cache where its beginning was read before', () => {
    const cached = run(
      busy({
        pools: { a: pool('one', 'GB', { cacheTokens: 100_000 }) },
        demand: [{ ...demand(5), input: 2_000, prefixes: { count: 3, tokens: 1_024 } }],
        faults: [],
      }),
    )
    const { cachedShare } = reportOf(cached)
    expect(cachedShare).toBeGreaterThan(0.45)
    expect(cachedShare).toBeLessThan(0.52)
  })

  test('brings replicas back cold and one by one after a rolling loss, not at once', () => {
    const outcome = run(
      busy({
        pools: { a: pool('one', 'GB', { replicas: 10 }) },
        faults: [{ kind: 'rolling-loss', at: '1m', for: '1m', share: 0.5, reimagedPerMinute: 1 }],
      }),
    )
    // Five of ten lost over a minute (half of it each on average), then back after 1, 2, 3, 4 and 5 minutes.
    const lostMs = [60, 48, 36, 24, 12].map((s, at) => (s + (at + 1) * 60) * 1_000).reduce((sum, ms) => sum + ms, 0)
    const upMs = outcome.fleet.pools[0]?.upMs ?? 0
    expect(Math.abs(10 * 600_000 - upMs - lostMs)).toBeLessThan(1_000)
  })

  test('starts nothing while launches are impossible', () => {
    const upMs = (faults: object[]) =>
      run(
        busy({
          pools: { a: pool('one', 'GB', { coldStart: '30s' }), b: pool('two', 'NL') },
          demand: [demand(5)],
          faults,
        }),
      ).fleet.pools[0]?.upMs ?? 0
    const loss = { kind: 'loss', at: '1m', for: '1m', restart: true, where: { pools: ['a'] } }
    // Two replicas, lost for a minute, 30 s to start.
    expect(upMs([loss])).toBe(2 * (600_000 - 90_000))
    const ban = { kind: 'cannot-launch', at: '0s', for: '5m', where: { pools: ['a'] } }
    expect(upMs([loss, ban])).toBe(2 * (600_000 - 4 * 60_000 - 30_000))
  })
})
