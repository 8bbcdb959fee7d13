import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { request as requestTls } from 'node:https'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type Printed, runInPipe } from '../../src/cli/testing.ts'

const root = path.join(import.meta.dirname, '../..')
const main = path.join(root, 'src/cli/main.ts')

/** A gateway as its users run it: the real process, its own data directory, on loopback. */
export class GatewayProcess {
  readonly dir = mkdtempSync(path.join(tmpdir(), 'spillway-e2e-'))
  readonly port: number
  readonly configFile = path.join(this.dir, 'spillway.yaml')
  readonly #env: Record<string, string>
  readonly #descriptorsMax: number | undefined
  #child: ChildProcess | undefined
  #said = ''
  #isSecure = false

  private constructor(port: number, env: Record<string, string>, descriptorsMax: number | undefined) {
    this.port = port
    this.#env = env
    this.#descriptorsMax = descriptorsMax
  }

  /**
   * `yaml` is the configuration without `listen` and `dataDir`, which are added. Without `metrics` they are off.
   * `prepare` gets the directory before the start; `descriptorsMax` is what `ulimit -n` leaves the process.
   */
  static async start(
    yaml: string,
    env: Record<string, string> = {},
    { prepare, descriptorsMax }: { prepare?: (dir: string) => void; descriptorsMax?: number } = {},
  ): Promise<GatewayProcess> {
    const gateway = new GatewayProcess(await freePort(), env, descriptorsMax)
    gateway.configure(yaml)
    prepare?.(gateway.dir)
    await gateway.run()
    return gateway
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/v1`
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** What it printed so far. */
  get said(): string {
    return this.#said
  }

  configure(yaml: string): void {
    this.#isSecure = /^tls:/m.test(yaml)
    const metrics = /^metrics:/m.test(yaml) ? '' : 'metrics: off\n'
    const own = `listen: { host: 127.0.0.1, port: ${this.port} }\n${metrics}dataDir: ./data\n`
    writeFileSync(this.configFile, own + yaml)
  }

  /** Changes the configuration as it stands in its file. */
  edit(change: (text: string) => string): void {
    writeFileSync(this.configFile, change(readFileSync(this.configFile, 'utf8')))
  }

  /** Starts the process and waits until it is ready to serve. */
  async run(): Promise<void> {
    const command = [process.execPath, main, 'up', '--config', this.configFile]
    const limited = ['/bin/sh', '-c', `ulimit -n ${this.#descriptorsMax} && exec "$@"`, 'sh', ...command]
    const [program = '', ...args] = this.#descriptorsMax === undefined ? command : limited
    const child = spawn(program, args, {
      env: { PATH: process.env['PATH'] ?? '', ...this.#env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    const keep = (text: Buffer) => {
      this.#said += text.toString()
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    for (let round = 0; round < 400; round++) {
      if (child.exitCode !== null) throw new Error(`the gateway ended at start:\n${this.#said}`)
      if ((await statusOf(this.port, '/readyz', this.#isSecure)) === 200) return
      await pause(25)
    }
    throw new Error(`the gateway did not become ready:\n${this.#said}`)
  }

  /** Ends the process; resolves with its exit code, or null where a signal ended it. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.#child?.kill(signal)
    return this.exited
  }

  /** Its exit code once it has ended, or null where a signal ended it. */
  get exited(): Promise<number | null> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null)
      return Promise.resolve(child?.exitCode ?? null)
    return new Promise((resolve) => child.once('exit', (code) => resolve(code)))
  }

  /** Closes our ends of its stdout and stderr, as a log collector that dies. */
  stopReading(): void {
    this.#child?.stdout?.destroy()
    this.#child?.stderr?.destroy()
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal)
  }

  /** Runs a command of the command line beside the process and gives what it printed. */
  async cli(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
    return runCli([...args, '--config', this.configFile], this.dir, this.#env)
  }

  /** The same within this process: for commands that end by themselves, without the time that a start takes. */
  command(...words: string[]): Promise<Printed> {
    return runInPipe([...words, '--config', this.configFile], this.dir, this.#env)
  }

  async dispose(): Promise<void> {
    await this.end('SIGKILL')
    rmSync(this.dir, { recursive: true, force: true })
  }
}

export async function runCli(
  args: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [main, ...args], {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  child.stdout.on('data', (text: Buffer) => {
    out += text.toString()
  })
  child.stderr.on('data', (text: Buffer) => {
    err += text.toString()
  })
  const code = await new Promise<number | null>((resolve) => child.once('close', (exit) => resolve(exit)))
  return { code, out, err }
}

export function statusOf(port: number, target: string, isSecure = false): Promise<number | undefined> {
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port, path: target, timeout: 1_000, agent: false as const }
    const call = (isSecure ? requestTls : request)({ ...options, rejectUnauthorized: false }, (answer) => {
      answer.resume()
      resolve(answer.statusCode)
    })
    call.on('error', () => resolve(undefined))
    call.on('timeout', () => call.destroy())
    call.end()
  })
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        typeof address === 'object' && address !== null ? resolve(address.port) : reject(new Error('no port')),
      )
    })
  })
}

/** Waits until it is so; fails after 20 s, which is far longer than anything takes on a busy machine. */
export async function until(isSo: () => boolean | Promise<boolean>, message = 'it did not come about'): Promise<void> {
  const dueMs = performance.now() + 20_000
  while (!(await isSo())) {
    if (performance.now() > dueMs) throw new Error(message)
    await pause(10)
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
