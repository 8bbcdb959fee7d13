import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { FaultChange, ServedRequest } from '../../demo/cloud-log.ts'
import { type DemoClouds, startDemoClouds } from '../../src/cli/demo-process.ts'
import type { ReplayResult } from '../../src/cli/replay/sender.ts'
import { readTrace } from '../../src/cli/replay/trace.ts'
import { pause, runCli } from './gateway-process.ts'

const dir = mkdtempSync(path.join(tmpdir(), 'spillway-replay-e2e-'))
const main = path.join(import.meta.dirname, '../../src/cli/main.ts')
let clouds: DemoClouds
let target: string[]

beforeAll(async () => {
  // Straight at an engine of the demo: what is replayed must not depend on who answers.
  clouds = await startDemoClouds({ dir, speed: 20, slotsScale: 10 })
  const own = clouds.clouds.find(({ vendor }) => vendor === 'self')
  const key = readFileSync(path.join(dir, 'self-key'), 'utf8')
  target = ['--url', `http://127.0.0.1:${own?.port}/v1`, '--key', key, '--model', 'openai/gpt-oss-120b']
}, 30_000)

afterAll(async () => {
  await clouds?.stop()
  rmSync(dir, { recursive: true, force: true })
})

const lines = <T>(file: string) =>
  readFileSync(path.join(dir, file), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T)
const served = () => lines<ServedRequest | FaultChange>('logs/self.ndjson').filter((line) => line.kind === 'request')

describe('spillway replay', () => {
  test('sends as many tokens as the trace recorded, as the cloud counts them', { timeout: 60_000 }, async () => {
    const { code, out, err } = await runCli(
      ['replay', 'burstgpt-head', '--speed', '1000', ...target, '--out', 'out.ndjson', '--html', 'page.html', '--json'],
      dir,
    )
    expect(err).toBe('')
    expect(code).toBe(0)
    // Of two that failed when they were recorded, no tokens were: something must be sent all the same.
    const trace = readTrace('burstgpt-head', dir).map(({ inputTokens, outputTokens }) => ({
      promptTokens: Math.max(1, inputTokens),
      completionTokens: Math.max(1, outputTokens),
    }))
    const pairs = (of: readonly { readonly promptTokens: number; readonly completionTokens: number }[]) =>
      of.map(({ promptTokens, completionTokens }) => `${promptTokens} ${completionTokens}`).sort()
    expect(pairs(served())).toEqual(pairs(trace))
    const results = lines<ReplayResult>('out.ndjson')
    expect(pairs(results.flatMap(({ usage }) => usage ?? []))).toEqual(pairs(trace))
    expect(JSON.parse(out)).toMatchObject({
      trace: 'burstgpt-head',
      planned: trace.length,
      partial: false,
      requests: trace.length,
      ok: trace.length,
      simulated: trace.length,
      promptTokens: trace.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
    })
    const page = readFileSync(path.join(dir, 'page.html'), 'utf8')
    expect(page).toContain('Replay of burstgpt-head')
    expect(page).toContain('Simulation:')
  })

  test('that is interrupted reports what it has, and says that it is partial', { timeout: 60_000 }, async () => {
    const before = served().length
    const child = spawn(
      process.execPath,
      [main, 'replay', 'azure-2023-conversation', '--speed', '5', ...target, '--html', 'partial.html', '--json'],
      { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] },
    )
    let out = ''
    child.stdout.on('data', (text: Buffer) => {
      out += text.toString()
    })
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
    while (served().length < before + 3 && child.exitCode === null) await pause(50)
    child.kill('SIGINT')
    expect(await ended).toBe(130)
    const report = JSON.parse(out) as { planned: number; partial: boolean; requests: number; ok: number }
    expect(report).toMatchObject({ planned: 2_867, partial: true })
    expect(report.requests).toBeGreaterThanOrEqual(3)
    expect(report.requests).toBeLessThan(2_867)
    // What was open was waited for.
    expect(report.ok).toBe(report.requests)
    expect(readFileSync(path.join(dir, 'partial.html'), 'utf8')).toContain(
      `Partial: ended by hand after ${report.requests} of 2,867 requests`,
    )
  })

  test('reads as a table in a terminal', { timeout: 60_000 }, async () => {
    const { out, err } = await runCli(['replay', 'mooncake-head', '--speed', '50', '--duration', '3s', ...target], dir)
    expect(err).toBe('')
    expect(out).toMatch(/^Simulation: \d+ answers/)
    expect(out).toMatch(/time +p50 +p90 +p95 +p99 +max\nfirst token +\d/)
    expect(out).toMatch(/100.00% answered whole/)
  })

  test('that has a wrong key says so before it begins', { timeout: 20_000 }, async () => {
    const wrong = target.map((word, index) => (target[index - 1] === '--key' ? 'wrong' : word))
    const run = await runCli(['replay', 'burstgpt-head', ...wrong], dir)
    expect(run).toMatchObject({ code: 1, err: expect.stringContaining('does not take the key') })
  })

  test.each([
    [['replay', 'nowhere', '--key', 'k'], 1, /^spillway: there is no trace nowhere; .*\n$/],
    [['replay', 'burstgpt-head'], 2, /^spillway: --key KEY is missing.*\n$/],
    [['replay', 'burstgpt-head', '--key', 'k', '--speed', '0'], 2, /--speed takes a number above zero/],
    [['replay', 'burstgpt-head', '--key', 'k', '--url', 'localhost'], 2, /--url takes an address/],
    [['replay', 'burstgpt-head', '--keys-file', 'none'], 1, /the keys cannot be read from none: /],
    [
      ['replay', 'burstgpt-head', '--key', 'k', '--url', 'http://127.0.0.1:9/v1'],
      1,
      /^spillway: nobody answers at http:\/\/127.0.0.1:9\/v1 \(ECONNREFUSED\); start the gateway first/,
    ],
  ])('%j ends with %i and one line that says why', { timeout: 20_000 }, async (args, code, problem) => {
    const run = await runCli(args, dir)
    expect(run.code).toBe(code)
    expect(run.err).toMatch(problem)
    expect(run.err.trimEnd().split('\n')).toHaveLength(1)
  })
})
