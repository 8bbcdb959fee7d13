import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { runInPipe } from '../testing.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'spillway-simulate-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const run = (line: string) => runInPipe(line.split(' '), folder)

writeFileSync(
  path.join(folder, 'small.yaml'),
  `name: Two clouds, <one> lost
duration: 5m
gateway: { country: GB }
clients: { retries: 2 }
models: { chat: {} }
plans: { team: { priority: 10 } }
tenants: { acme: { plan: team, country: GB, countries: [GB, NL], subProcessors: any } }
pools:
  one: { model: chat, subProcessor: one, country: GB, replicas: 2, accelerator: h200, weights: gpt-oss-120b, gpus: 4 }
  two: { model: chat, subProcessor: two, country: NL, replicas: 2, accelerator: b200, weights: gpt-oss-120b, gpus: 4 }
demand:
  - { kind: trace, file: azure-2023-conversation, model: chat, tenants: { acme: 1 } }
faults:
  - { kind: loss, at: 2m, for: 1m, where: { subProcessor: one } }
`,
)

describe('spillway simulate', { timeout: 60_000 }, () => {
  test('tells what a recorded trace would have met, and writes a page that loads nothing', async () => {
    const { code, out } = await run('simulate small.yaml --json --html page.html')
    const report = JSON.parse(out)
    expect(code).toBe(0)
    expect(report).toMatchObject({ seed: 1, residencyBreaches: 0, violations: [] })
    expect(report.requests).toBeGreaterThan(1_000)
    expect(report.served).toBeGreaterThan(0.95)
    expect(report.recoveries).toEqual([
      expect.objectContaining({ fault: 'loss one', recoverySeconds: expect.any(Number) }),
    ])
    const page = readFileSync(path.join(folder, 'page.html'), 'utf8')
    expect(page).toContain('Two clouds, &lt;one&gt; lost')
    expect(page).not.toMatch(/<script|src=|https?:/)
    expect((await run('simulate small.yaml --json')).out).toBe(out)
  })

  test('runs other universes, and one of them again', async () => {
    expect(await run('simulate small.yaml --seeds 3')).toMatchObject({ code: 0, out: 'all held in 3 universes\n' })
    const [first, second] = [
      await run('simulate small.yaml --universe 2 --json'),
      await run('simulate small.yaml --universe 3 --json'),
    ]
    expect(JSON.parse(first.out).digest).not.toBe(JSON.parse(second.out).digest)
  })

  test('says where a scenario is wrong, and exits with 1', async () => {
    writeFileSync(
      path.join(folder, 'wrong.yaml'),
      readFileSync(path.join(folder, 'small.yaml'), 'utf8').replace('5m', 'long'),
    )
    const { code, err } = await run('simulate wrong.yaml')
    expect(code).toBe(1)
    expect(err).toContain('line 2: duration: a time such as 500ms, 90s, 10m or 24h is expected')
  })
})
