import { expect, test } from 'vitest'
import { reportOf } from './report.ts'
import { run, scenarioWith, smallReplica } from './testing.ts'

test('a report tells classes apart within a plan, and they come to the plan', () => {
  const demand = { kind: 'steady', model: 'chat', requestsPerSecond: 4, input: 200, output: 50 }
  const report = reportOf(
    run(
      scenarioWith({
        duration: '5m',
        tenants: {
          acme: { plan: 'team', country: 'GB', countries: 'any', subProcessors: 'any' },
          beta: { plan: 'team', country: 'GB', countries: 'any', subProcessors: 'any' },
        },
        pools: {
          one: {
            model: 'chat',
            subProcessor: 'vendor',
            country: 'GB',
            replicas: 1,
            concurrencyMax: 4,
            latency: smallReplica,
          },
        },
        demand: [
          { ...demand, tenants: { acme: 1, beta: 1 } },
          { ...demand, tenants: { beta: 1 }, tier: 'flex' },
        ],
      }),
    ),
  )
  const [plan] = report.plans
  const [usual, flex] = report.classes
  expect(report.classes.map(({ name, tenants }) => [name, tenants])).toEqual([
    ['team/default', 2],
    ['team/flex', 1],
  ])
  expect((usual?.offered ?? 0) + (flex?.offered ?? 0)).toBe(plan?.offered)
  expect(report.tenants.reduce((sum, { offered }) => sum + offered, 0)).toBe(report.requests)
  expect(flex?.waitMs.p95).toBeGreaterThan(usual?.waitMs.p95 ?? Number.POSITIVE_INFINITY)
})
