import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePort, pause, statusOf } from './gateway-process.ts'

const root = path.join(import.meta.dirname, '../..')
const folder = mkdtempSync(path.join(tmpdir(), 'spillway-pack-'))
const packagesMax = 60
const run = promisify(execFile)

/** npm as it runs this test, or the one of the machine. What it finds in its cache it does not ask the network for. */
async function npm(args: readonly string[], cwd: string): Promise<string> {
  const script = process.env['npm_execpath']
  const [command, first] = script?.endsWith('.js') ? [process.execPath, [script]] : ['npm', []]
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--no-update-notifier']
  return (await run(command, [...first, ...args, ...quiet], { cwd, shell: process.platform === 'win32' })).stdout
}

const installed = path.join(folder, 'app')
const main = path.join(installed, 'node_modules/spillway/dist/src/cli/main.js')
const spillway = (...args: string[]) =>
  run(process.execPath, [main, ...args], { cwd: installed }).catch(
    (error: { code: number; stdout: string; stderr: string }) => error,
  )

beforeAll(async () => {
  await npm(['pack', '--pack-destination', folder], root)
  const packed = readdirSync(folder).find((name) => name.endsWith('.tgz')) as string
  mkdirSync(installed)
  writeFileSync(path.join(installed, 'package.json'), '{ "private": true }')
  await npm(['install', path.join(folder, packed)], installed)
}, 120_000)

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('the packed file, installed in an empty folder', { timeout: 60_000 }, () => {
  test(`brings at most ${packagesMax} packages, none with an install script`, () => {
    const { packages } = JSON.parse(readFileSync(path.join(installed, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { hasInstallScript?: boolean }>
    }
    const names = Object.keys(packages).filter((name) => name !== '')
    expect(names).toContain('node_modules/spillway')
    expect(names.length).toBeLessThanOrEqual(packagesMax)
    expect(names.filter((name) => packages[name]?.hasInstallScript)).toEqual([])
  })

  test('holds JavaScript and no tests', () => {
    const files = readdirSync(path.join(installed, 'node_modules/spillway'), { recursive: true, encoding: 'utf8' })
    expect(files.filter((file) => /\.ts$|\.test\.|\.contract\.|testing/.test(file))).toEqual([])
    expect(files).toEqual(expect.arrayContaining(['README.md', 'LICENSE', 'spillway.example.yaml']))
  })

  test('says what it can do and which version it is, and checks a configuration', async () => {
    expect(await spillway('--help')).toMatchObject({ stdout: expect.stringContaining('start the gateway') })
    const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string }
    expect(await spillway('--version')).toMatchObject({ stdout: `${version}\n` })
    const file = path.join(installed, 'spillway.yaml')
    writeFileSync(file, readFileSync(path.join(installed, 'node_modules/spillway/spillway.example.yaml')))
    expect(await spillway('config', 'check')).toMatchObject({ code: 1, stdout: expect.stringContaining('ACME_KEY') })
    rmSync(file)
  })

  test('starts with the demo clouds, streams a chat to the official client, and ends in order', async () => {
    const port = await freePort()
    const child: ChildProcess = spawn(process.execPath, [main, 'up', '--demo', '--port', String(port)], {
      cwd: installed,
      // Asks for traces, whose libraries are not installed.
      env: { ...process.env, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    child.stderr?.on('data', (text: Buffer) => {
      said += text.toString()
    })
    const ended = new Promise((resolve) => child.once('exit', resolve))
    try {
      while (child.exitCode === null && (await statusOf(port, '/readyz')) !== 200) await pause(50)
      expect(child.exitCode, said).toBeNull()
      const apiKey = readFileSync(path.join(installed, 'data/demo/key'), 'utf8').trim()
      const client = new OpenAI({ apiKey, baseURL: `http://127.0.0.1:${port}/v1` })
      const stream = await client.chat.completions.create({
        model: 'chat-large',
        stream: true,
        max_tokens: 12,
        messages: [{ role: 'user', content: 'Hello' }],
      })
      let text = ''
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
      expect(text).toMatch(/^Simulation: /)
      expect(said).toMatch(/warning: traces are off: the package @opentelemetry\/\S+ is needed/)
      expect(await spillway('usage', '--json')).toMatchObject({ stdout: expect.stringContaining('"requests": 1') })
    } finally {
      child.kill('SIGTERM')
    }
    expect(await ended).toBe(0)
  })
})
