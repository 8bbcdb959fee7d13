/** Child processes: where they run, what they cost. Linux only: it reads /proc. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/** Clock ticks of /proc/PID/stat a second: 100 on every Linux that Node runs on. */
const ticksPerSecond = 100

export const canPin = process.platform === 'linux' && spawnSync('taskset', ['--version']).status === 0

/** Moves this process, all its threads, to one core. */
export function pinSelf(core: number): void {
  if (canPin) spawnSync('taskset', ['-a', '-c', '-p', String(core), String(process.pid)], { stdio: 'ignore' })
}

export class Child {
  readonly #child: ChildProcess
  #said = ''

  /** Starts `command` on one core. `output`: a file descriptor that takes what it prints, else it is kept. */
  constructor(core: number, command: string, args: readonly string[], env: Record<string, string>, output?: number) {
    const line = canPin ? ['taskset', '-c', String(core), command, ...args] : [command, ...args]
    this.#child = spawn(line[0] as string, line.slice(1), {
      env: { PATH: process.env['PATH'] ?? '', ...env },
      stdio: ['ignore', output ?? 'pipe', 'pipe'],
    })
    const keep = (text: Buffer): void => {
      this.#said = (this.#said + text.toString()).slice(-10_000)
    }
    this.#child.stdout?.on('data', keep)
    this.#child.stderr?.on('data', keep)
  }

  /** `taskset` becomes the command, so this is its id. */
  get pid(): number {
    return this.#child.pid ?? 0
  }

  get said(): string {
    return this.#said
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** CPU time of the process and all below it, all threads, user and system, µs. */
  cpuUs(): number {
    let ticks = 0
    for (const pid of withChildren(this.pid)) {
      const fields = statFields(pid)
      ticks += Number(fields[11]) + Number(fields[12])
    }
    return (ticks / ticksPerSecond) * 1e6
  }

  /** Resident memory of the process and all below it, KiB. */
  rssKib(): number {
    let kib = 0
    for (const pid of withChildren(this.pid))
      kib += Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
    return kib
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async stop(): Promise<void> {
    if (this.ended) return
    const ended = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 5_000)
    await ended
    clearTimeout(timer)
  }
}

/** Fields of /proc/PID/stat from the third on: the second, the name, may hold anything. */
function statFields(pid: number): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

function withChildren(pid: number): number[] {
  const pids = [pid]
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      if (Number(statFields(Number(entry))[1]) === pid) pids.push(Number(entry))
    } catch {
      // It ended while we looked.
    }
  }
  return pids
}

/** Waits until `ready` gives something; throws what the child said where it ends or takes too long. */
export async function until<T>(child: Child, what: string, ready: () => Promise<T | undefined> | T | undefined) {
  for (let round = 0; round < 600; round++) {
    if (child.ended) throw new Error(`${what} ended at start:\n${child.said}`)
    const found = await ready()
    if (found !== undefined) return found
    await pause(50)
  }
  throw new Error(`${what} was not ready within 30 s:\n${child.said}`)
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
