import { readFileSync, watch } from 'node:fs'
import path from 'node:path'
import { MemoryRateLimiter } from '../adapters/limits/memory.ts'
import { PriceBook } from '../adapters/price-book/price-book.ts'
import { openStorage } from '../adapters/storage/open-storage.ts'
import { startControlSocket } from '../admin/control-socket.ts'
import { operationsOn } from '../admin/operations.ts'
import type { Config } from '../config/config.ts'
import { seededRandom } from '../core/random.ts'
import { Gateway } from '../gateway/gateway.ts'
import { systemClock } from './clock.ts'
import { loadConfig } from './config-source.ts'
import { openEventLog } from './event-log.ts'
import { fileRows } from './file-rows.ts'
import { ProviderSet } from './providers.ts'
import { openTelemetry } from './telemetry.ts'

export interface HostOptions {
  /** Absolute. */
  readonly configFile: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Lines for the person who started it. */
  readonly say: (line: string) => void
  /** Writes a line of JSON for each request to stdout. */
  readonly logRequests: boolean
}

/** A running Spillway. */
export interface Host {
  readonly gateway: Gateway
  readonly config: Config
  /** Undefined with `metrics: off`. */
  readonly metricsUrl: string | undefined
  /** Reads the configuration again; keeps the last good one, and says why, where the new one is not valid. */
  reload(): Promise<boolean>
  /** Drains and closes everything; resolves when it is safe to exit. */
  stop(): Promise<void>
  /** Settles with the reason if the process must end by itself: the journal cannot be trusted any more. */
  readonly failed: Promise<string>
}

/** The composition root: builds every part from one configuration and starts it. */
export async function startHost(options: HostOptions): Promise<Host> {
  const { configFile, env, say } = options
  const dir = path.dirname(configFile)
  const loaded = loadConfig(configFile)
  let { config } = loaded
  for (const { path: place, message } of loaded.warnings) say(`warning: ${place}: ${message}`)
  let failed: (reason: string) => void = () => {}
  const failure = new Promise<string>((resolve) => {
    failed = resolve
  })

  const storage = await openStorage({
    dataDir: config.dataDir,
    segmentBytesMax: config.journal.segmentBytesMax,
    retentionDays: config.journal.retentionDays,
    clock: systemClock,
    onFatal: (reason: string) => failed(reason),
  })
  const rows = fileRows(config, env, dir, storage.directory)
  for (const problem of rows.problems) say(`warning: ${problem}`)
  storage.directory.setFileRows(rows.tenants, rows.keys)

  const limiter = new MemoryRateLimiter()
  const monthStartMs = startOfMonth(systemClock.wallMs())
  for (const by of ['tenant', 'key'] as const) {
    for (const [id, nanoUsd] of storage.ledger.spentNanoUsd(by, monthStartMs))
      limiter.seedSpend(`${by}/${id}`, nanoUsd / 1e9, systemClock.wallMs())
  }

  const providers = new ProviderSet(env)
  /** Said once in full; the prober needs not say again that they cannot be reached. */
  let switchedOff = new Set<string>()
  const openProviders = async (next: Config) => {
    const opened = await providers.open(next, dir)
    for (const { provider, problem } of opened.problems)
      say(`warning: the provider ${provider} is switched off: ${problem}`)
    switchedOff = new Set(opened.problems.map(({ provider }) => provider))
    return opened.providers
  }

  const telemetry = await openTelemetry(config, env, options.logRequests)
  const seed = (systemClock.wallMs() & 0x7fffffff) >>> 0
  const eventLog = config.eventLog === undefined ? undefined : openEventLog(config.eventLog, seed)
  const tls = readTls(config)
  const gateway = await Gateway.start({
    config,
    providers: await openProviders(config),
    storage,
    limiter,
    priceBook: new PriceBook(),
    clock: systemClock,
    random: seededRandom(seed),
    observer: telemetry.observer,
    ...(tls && { tls }),
    ...(eventLog && { eventLog }),
    onEndpointState: (endpoint, state) => telemetry.endpointState(endpoint, state),
    onProviderState: (provider, problem) => {
      if (switchedOff.has(provider)) return
      say(problem === undefined ? `${provider} answers` : `warning: ${provider} is left out for now: ${problem}`)
    },
  })
  telemetry.watch(gateway, storage)

  const reload = async (): Promise<boolean> => {
    try {
      const next = loadConfig(configFile).config
      const refused = changedForGood(config, next)
      if (refused !== undefined) throw new Error(refused)
      const nextRows = fileRows(next, env, dir, storage.directory)
      const nextProviders = await openProviders(next)
      storage.directory.setFileRows(nextRows.tenants, nextRows.keys)
      gateway.reload(next, nextProviders)
      const nextTls = readTls(next)
      if (nextTls !== undefined) gateway.setTls(nextTls.cert, nextTls.key)
      config = next
      say('the configuration was read again and is in force')
      return true
    } catch (error) {
      say(`warning: the new configuration is not taken, the last good one stays: ${(error as Error).message}`)
      return false
    }
  }
  const stopWatching = watchFiles([configFile, config.tls?.cert, config.tls?.key], () => void reload())
  const control = await startControlSocket(config.dataDir, {
    ...operationsOn(storage, systemClock, () => config),
    reload: async () => ({ reloaded: await reload() }),
    status: () => ({
      openRequests: gateway.openRequests,
      ...gateway.snapshot(),
      unreachable: Object.fromEntries(gateway.unreachable),
    }),
  })

  return {
    gateway,
    get config() {
      return config
    },
    metricsUrl: telemetry.metricsUrl,
    reload,
    failed: failure,
    async stop() {
      stopWatching()
      await gateway.drain(config.limits.drainMs)
      await gateway.stop()
      await control.close()
      await providers.close()
      await storage.close()
      await eventLog?.close()
      await telemetry.close()
    },
  }
}

/** What a running process cannot change: says what to do instead, or undefined. */
function changedForGood(old: Config, next: Config): string | undefined {
  if (old.dataDir !== next.dataDir) return 'dataDir cannot change while running; restart'
  if (old.listen.host !== next.listen.host || old.listen.port !== next.listen.port)
    return 'listen cannot change while running; restart'
  return undefined
}

function readTls(config: Config): { cert: Buffer; key: Buffer } | undefined {
  if (config.tls === undefined) return undefined
  return { cert: readFileSync(config.tls.cert), key: readFileSync(config.tls.key) }
}

function startOfMonth(wallMs: number): number {
  const date = new Date(wallMs)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1)
}

/** Calls back once, 200 ms after the last of several changes. Editors replace files, so the folders are watched. */
function watchFiles(files: readonly (string | undefined)[], changed: () => void): () => void {
  let timer: NodeJS.Timeout | undefined
  const watchers = files.flatMap((file) => {
    if (file === undefined) return []
    const name = path.basename(file)
    return [
      watch(path.dirname(path.resolve(file)), { persistent: false }, (_event, changedName) => {
        if (changedName !== name) return
        clearTimeout(timer)
        timer = setTimeout(changed, 200)
      }),
    ]
  })
  return () => {
    clearTimeout(timer)
    for (const watcher of watchers) watcher.close()
  }
}
