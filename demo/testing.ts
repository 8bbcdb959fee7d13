import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Cloud } from './cloud.ts'
import type { FaultChange, ServedRequest } from './cloud-log.ts'
import { startFleet } from './fleet.ts'

/** A vendor's clouds in this process, for tests. */
export class TestFleet {
  readonly dir: string
  readonly #vendor: string
  readonly #clouds: readonly Cloud[]

  private constructor(dir: string, vendor: string, clouds: readonly Cloud[]) {
    this.dir = dir
    this.#vendor = vendor
    this.#clouds = clouds
  }

  /** `speed` divides all times. */
  static async open(vendor: string, { speed = 50, slotsScale = 1 } = {}): Promise<TestFleet> {
    const dir = mkdtempSync(path.join(tmpdir(), 'spillway-demo-'))
    return new TestFleet(dir, vendor, await startFleet({ vendor, dir, speed, slotsScale }))
  }

  cloud(country: string): Cloud {
    return this.#clouds.find(({ options }) => options.country === country) as Cloud
  }

  url(country: string, target: string): string {
    return `http://127.0.0.1:${this.cloud(country).port}${target}`
  }

  /** A file that the clouds wrote for their callers. */
  secret(name: string): string {
    return readFileSync(path.join(this.dir, name), 'utf8')
  }

  get log(): (ServedRequest | FaultChange)[] {
    return readLog(this.dir, this.#vendor)
  }

  get served(): ServedRequest[] {
    return this.log.filter((line) => line.kind === 'request')
  }

  async close(): Promise<void> {
    await Promise.all(this.#clouds.map((cloud) => cloud.close()))
    rmSync(this.dir, { recursive: true, force: true })
  }
}

export function readLog(dir: string, vendor: string): (ServedRequest | FaultChange)[] {
  return readFileSync(path.join(dir, 'logs', `${vendor}.ndjson`), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ServedRequest | FaultChange)
}

/** The data of each event of a stream, in order. */
export function eventsOf(text: string): string[] {
  return text
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => event.slice('data: '.length))
}

/** A chat of so many tokens each way. */
export function chat(change: object = {}, promptTokens = 10, outputTokens = 5): string {
  const content = Array.from({ length: promptTokens }, (_, index) => `w${index}`).join(' ')
  return JSON.stringify({ messages: [{ role: 'user', content }], max_tokens: outputTokens, ...change })
}
