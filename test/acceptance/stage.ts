import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parse, stringify } from 'yaml'
import type { FaultChange, ServedRequest } from '../../demo/cloud-log.ts'
import { markWindowTokens } from '../../src/adapters/storage/journal-record.ts'
import type { UsageRow } from '../../src/adapters/storage/storage.ts'
import { type DemoClouds, startDemoClouds } from '../../src/cli/demo-process.ts'
import { type ReplayResult, runReplay } from '../../src/cli/replay/sender.ts'
import { GatewayProcess, pause, runCli } from '../e2e/gateway-process.ts'
import type { Place } from './free-slots.ts'
import type { Asked, Books } from './join.ts'
import { home, tenants } from './tenants.ts'

const settleMsMax = 15_000

/** The demo clouds and a gateway in front of them, as processes of their own, and a folder for what they leave. */
export class Stage {
  readonly dir: string
  readonly gateway: GatewayProcess
  readonly #clouds: DemoClouds
  readonly #asked: Asked[] = []

  private constructor(dir: string, clouds: DemoClouds, gateway: GatewayProcess) {
    this.dir = dir
    this.#clouds = clouds
    this.gateway = gateway
  }

  /** `slotsScale` multiplies the slots of every cloud. */
  static async set(slotsScale: number): Promise<Stage> {
    const dir = mkdtempSync(path.join(tmpdir(), 'spillway-replay-'))
    const clouds = await startDemoClouds({ dir, slotsScale })
    try {
      const gateway = await GatewayProcess.start(configOver(clouds, dir), keysEnv())
      writeFileSync(path.join(dir, 'keys'), `${tenants.map(({ id }) => keyOf(id)).join('\n')}\n`)
      return new Stage(dir, clouds, gateway)
    } catch (error) {
      await clouds.stop()
      rmSync(dir, { recursive: true, force: true })
      throw error
    }
  }

  /** Takes a cloud out of order as its user would, with the command line. */
  async fail(place: string, how: string, forMs: number): Promise<void> {
    const { code, err } = await runCli(
      ['demo', 'fail', place, '--how', how, '--for', `${forMs}ms`, '--dir', this.dir],
      this.dir,
    )
    if (code !== 0) throw new Error(err)
  }

  /** Replays a trace with the command line. Keys are dealt out among the tenants. */
  async replay(trace: string, minutes: number, speed: number): Promise<void> {
    const { code, err } = await runCli(
      [
        ...['replay', trace, '--duration', `${minutes}m`, '--speed', String(speed), '--url', this.gateway.url],
        ...['--keys-file', 'keys', '--out', `${trace}.ndjson`, '--html', `${trace}.html`, '--json'],
      ],
      this.dir,
    )
    if (code !== 0) throw new Error(err)
    const results = lines<ReplayResult>(path.join(this.dir, `${trace}.ndjson`))
    this.#asked.push(...results.map((result) => ({ ...result, model: 'chat-large' })))
  }

  /** Sends one small request of a tenant. */
  async ask(tenant: string, model: string): Promise<Asked> {
    const [result] = await runReplay({
      trace: [{ atMs: 0, inputTokens: 20, outputTokens: 20, blocks: [] }],
      speed: 1,
      url: this.gateway.url,
      keys: [keyOf(tenant)],
      model,
      timeoutMs: 60_000,
      concurrencyMax: 1,
      seed: 1,
    })
    const asked = { ...(result as ReplayResult), key: tenants.findIndex(({ id }) => id === tenant), model }
    this.#asked.push(asked)
    return asked
  }

  /** All accounts of what happened, once the gateway has settled everything. */
  async books(): Promise<Books> {
    const ledger = await this.#settledLedger()
    const log = readdirSync(path.join(this.dir, 'logs')).flatMap((name) =>
      lines<ServedRequest | FaultChange>(path.join(this.dir, 'logs', name)),
    )
    const places = placesOf(this.#clouds)
    writeFileSync(path.join(this.dir, 'places.json'), JSON.stringify(places))
    return {
      results: this.#asked,
      served: log.filter((line) => line.kind === 'request'),
      faults: log.filter((line) => line.kind === 'fault'),
      ledger,
      tenants,
      places,
      windowTokens: markWindowTokens,
    }
  }

  /** Ends every process; `keep` leaves the folder, with what the gateway said and its journal, to be looked into. */
  async strike(keep: boolean): Promise<void> {
    await this.gateway.end()
    if (keep) {
      writeFileSync(path.join(this.dir, 'gateway.log'), this.gateway.said)
      const journal = path.join(this.gateway.dir, 'data/journal')
      const isBook = (file: string) => file === journal || file.endsWith('.ndjson')
      cpSync(journal, path.join(this.dir, 'journal'), { recursive: true, filter: isBook })
    }
    await Promise.all([this.gateway.dispose(), this.#clouds.stop()])
    if (!keep) rmSync(this.dir, { recursive: true, force: true })
  }

  async #settledLedger(): Promise<readonly UsageRow[]> {
    const untilMs = performance.now() + settleMsMax
    for (;;) {
      const { code, out, err } = await this.gateway.cli('usage', 'export', '--json')
      if (code !== 0) throw new Error(err)
      const rows = JSON.parse(out) as UsageRow[]
      if (performance.now() > untilMs || rows.every(({ state }) => state !== 'open')) {
        writeFileSync(path.join(this.dir, 'ledger.json'), out)
        return rows
      }
      await pause(500)
    }
  }
}

/** `chat-small` is served by the vendors of open models alone. */
function placesOf({ clouds }: DemoClouds): Place[] {
  return clouds.map(({ vendor, country, slots }) => ({
    cloud: vendor,
    country,
    slots,
    models: vendor === 'self' || vendor === 'coreweave' ? ['chat-large', 'chat-small'] : ['chat-large'],
  }))
}

/** The demo's own configuration with other tenants; its secrets lie in `dir`. */
function configOver({ configYaml }: DemoClouds, dir: string): string {
  const config = parse(configYaml, (key, value: unknown) =>
    key === 'file' && typeof value === 'string' ? path.join(dir, value) : value,
  ) as object
  return stringify({
    ...config,
    location: home,
    tenants: Object.fromEntries(tenants.map(({ id, ...terms }) => [id, { ...terms, keys: [{ env: envOf(id) }] }])),
  })
}

function keysEnv(): Record<string, string> {
  return Object.fromEntries(tenants.map(({ id }) => [envOf(id), keyOf(id)]))
}

function envOf(tenant: string): string {
  return `KEY_${tenant.toUpperCase().replaceAll('-', '_')}`
}

/** Of the right shape, and good only on this stage. */
function keyOf(tenant: string): string {
  return `sk-spw-${tenant.padEnd(43, '-')}`
}

function lines<T>(file: string): T[] {
  const text = readFileSync(file, 'utf8').trimEnd()
  return text === '' ? [] : text.split('\n').map((line) => JSON.parse(line) as T)
}
