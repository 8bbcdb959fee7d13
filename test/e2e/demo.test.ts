import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { readLog } from '../../demo/testing.ts'
import { pause, runCli } from './gateway-process.ts'

const root = mkdtempSync(path.join(tmpdir(), 'spillway-demo-e2e-'))
const main = path.join(import.meta.dirname, '../../src/cli/main.ts')
afterAll(() => rmSync(root, { recursive: true, force: true }))

interface Directory {
  readonly clouds: readonly { readonly vendor: string; readonly country: string; readonly port: number }[]
  readonly control: Readonly<Record<string, { readonly pid: number }>>
}

/** `spillway demo clouds` as a process of its own, with its files in a folder of its own. */
async function startClouds(name: string) {
  const dir = path.join(root, name)
  const child = spawn(process.execPath, [main, 'demo', 'clouds', '--dir', dir, '--json'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve())
    child.once('exit', () => reject(new Error('the demo clouds did not start')))
  })
  const directory = JSON.parse(readFileSync(path.join(dir, 'clouds.json'), 'utf8')) as Directory
  const pids = Object.values(directory.control).map(({ pid }) => pid)
  /** Begins a long answer at the engine of its own; resolves when some of it is there. */
  const beginAnswer = () =>
    new Promise<void>((resolve, reject) => {
      const { port } = directory.clouds.find(({ vendor }) => vendor === 'self') ?? { port: 0 }
      const call = request({ port, path: '/v1/chat/completions', method: 'POST', agent: false }, (answer) => {
        answer.once('data', () => resolve())
        answer.on('error', () => {})
      })
      call.on('error', reject)
      call.setHeader('authorization', `Bearer ${readFileSync(path.join(dir, 'self-key'), 'utf8')}`)
      call.setHeader('x-request-id', 'open')
      const messages = [{ role: 'user', content: 'a b c' }]
      call.end(JSON.stringify({ model: 'openai/gpt-oss-120b', stream: true, max_tokens: 100_000, messages }))
    })
  return { dir, child, ended, pids, beginAnswer }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function allGone(pids: readonly number[]): Promise<boolean> {
  for (let round = 0; round < 200 && pids.some(isAlive); round++) await pause(50)
  return !pids.some(isAlive)
}

describe('the demo clouds', () => {
  test.each(['SIGTERM', 'SIGINT', 'SIGKILL'] as const)(
    'leave no process behind when who started them ends by %s, and have written down what was open',
    { timeout: 30_000 },
    async (signal) => {
      const clouds = await startClouds(signal)
      expect(clouds.pids).toHaveLength(4)
      expect(clouds.pids.every(isAlive)).toBe(true)
      await clouds.beginAnswer()
      clouds.child.kill(signal)
      await clouds.ended
      expect(await allGone(clouds.pids)).toBe(true)
      const lines = readLog(clouds.dir, 'self')
      expect(lines).toMatchObject([{ requestId: 'open', status: 200, ended: 'down', promptTokens: 3 }])
      expect(lines[0]).toHaveProperty('completionTokens')
    },
  )

  test('fail, say so, and heal at their user’s word', { timeout: 30_000 }, async () => {
    const clouds = await startClouds('orders')
    const demo = (...args: string[]) => runCli(['demo', ...args, '--dir', clouds.dir], root)
    const stateOf = async (place: string) => {
      const [vendor, country] = place.split('/')
      const { out } = await demo('status', '--json')
      const all = JSON.parse(out) as { vendor: string; country: string; fault: string | null }[]
      return all.find((cloud) => cloud.vendor === vendor && cloud.country === country)?.fault
    }
    try {
      const failed = await demo('fail', 'google-cloud/NL', '--how', 'slow', '--for', '60s')
      expect(failed.out).toBe('google-cloud in NL is ten times slower, for 60 s\n')
      expect(await stateOf('google-cloud/NL')).toBe('slow')
      expect(await stateOf('google-cloud/GB')).toBeNull()
      expect((await demo('heal', 'google-cloud/NL')).code).toBe(0)
      expect(await stateOf('google-cloud/NL')).toBeNull()
      const wrongPlace = await demo('fail', 'google-cloud/FR')
      expect(wrongPlace).toMatchObject({
        code: 1,
        err: expect.stringContaining('google-cloud is not in FR; it is in US'),
      })
      expect(await demo('fail', 'nobody/NL')).toMatchObject({
        code: 1,
        err: expect.stringContaining('no cloud nobody'),
      })
      expect(await demo('fail', 'self/NL', '--how', 'tired')).toMatchObject({ code: 2 })
    } finally {
      clouds.child.kill('SIGTERM')
      await clouds.ended
    }
    expect(await demo('status')).toMatchObject({ code: 1, err: expect.stringContaining('no demo clouds are running') })
  })
})
