import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseScenario } from './read-scenario.ts'

const root = path.join(import.meta.dirname, '../../..')
const text = readFileSync(path.join(root, 'examples/gpu-shortage/one-vendor.yaml'), 'utf8')
const mistakes = (changed: string) => {
  const result = parseScenario(changed)
  return Array.isArray(result) ? result.map(({ path: at, message }) => `${at}: ${message}`) : []
}

describe('reading a scenario', () => {
  test.each(globSync('examples/{gpu-shortage,incidents}/*.yaml', { cwd: root }))('%s has no mistake', (file) => {
    expect(mistakes(readFileSync(path.join(root, file), 'utf8'))).toEqual([])
  })

  test('tells every mistake at once, each at its place', () => {
    const changed = text
      .replace('duration: 20m', 'duration: 20 minutes')
      .replace('replicas: 6', 'replica: 6')
      .replace('variation: 1.5', 'variation: -1')
    expect(mistakes(changed)).toEqual([
      'duration: a time such as 500ms, 90s, 10m or 24h is expected',
      'pools.azure-us.replicas: this key is missing',
      'pools.azure-us.replica: this key is not known; did you mean replicas?',
      expect.stringMatching(/^demand\[0\]\.variation: /),
    ])
  })

  test('tells what names nothing, and what was never measured', () => {
    const changed = text
      .replace('azure-us: { model: chat-large', 'azure-us: { model: chat-larger')
      .replace('plan: enterprise, country: GB', 'plan: enterprises, country: GB')
      .replace(
        'accelerator: h200, weights: gpt-oss-120b, gpus: 4, concurrencyMax: 48, cacheTokens: 400000, usdPerGpuHour: 4.6',
        'accelerator: h200, weights: gpt-oss-120b, gpus: 3',
      )
      .concat('faults:\n  - { kind: loss, at: 5m, for: 1m, where: { subProcessor: nobody } }\n')
    expect(mistakes(changed)).toEqual([
      'pools.azure-us.model: there is no model chat-larger',
      'pools.azure-gb.accelerator: gpt-oss-120b was not measured on 3 h200, but on 1, 2, 4, 8',
      'tenants.enterprise-gb.plan: there is no plan enterprises',
      'faults[0].where.subProcessor: no pool has subProcessor nobody',
    ])
  })
})
