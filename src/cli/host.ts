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
import { setUpEngine } from './engine.ts'
import { openEventLog } from './event-log/writer.ts'
import { openHostLog } from './host-log.ts'
import { openLog } from './log.ts'
import { ProviderSet } from './providers.ts'
import { Reloader } from './reload.ts'
import { filesOf, readSetting } from './setting.ts'
import { openTelemetry } from './telemetry.ts'
import { watchFiles } from './watch-files.ts'

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
  /** Lets open answers run on for `drainMs` (default: as configured), closes everything; then it is safe to exit. */
  stop(drainMs?: number): Promise<void>
  /** Settles with the reason if the process must end by itself: the journal cannot be trusted any more. */
  readonly failed: Promise<string>
}

/** The composition root: builds every part from one configuration and starts it. What was opened closes where it fails. */
export async function startHost(options: HostOptions): Promise<Host> {
  setUpEngine()
  const parts = new AsyncDisposableStack()
  try {
    return await build(options, parts)
  } catch (error) {
    await parts.disposeAsync()
    throw error
  }
}

/** `parts` gets whatever must be closed, in the order of opening. */
async function build(options: HostOptions, parts: AsyncDisposableStack): Promise<Host> {
  const { configFile, env } = options
  const started = loadConfig(configFile).config
  const log = options.logRequests && started.log.level !== 'silent' ? openLog(started.log.level) : undefined
  if (log !== undefined) parts.defer(() => log.close())
  const { say, endpointState, bug } = openHostLog(options.say, log?.logger)
  const failure = Promise.withResolvers<string>()
  const storage = await openStorage({
    dataDir: started.dataDir,
    segmentBytesMax: started.journal.segmentBytesMax,
    retentionDays: started.journal.retentionDays,
    clock: systemClock,
    onFatal: failure.resolve,
    say,
  })
  parts.defer(() => storage.close())
  storage.journal.onHealthChange((healthy, reason) =>
    say(healthy ? 'requests are recorded and taken again' : `warning: no request is taken: ${reason}`),
  )

  const limiter = new MemoryRateLimiter()
  const startedWallMs = systemClock.wallMs()
  for (const by of ['tenant', 'key'] as const) {
    for (const [id, nanoUsd] of storage.ledger.spentNanoUsd(by, startedWallMs))
      limiter.seedSpend(`${by}/${id}`, nanoUsd, startedWallMs)
  }

  const providers = new ProviderSet(env, ({ provider, problem }) =>
    say(`warning: the provider ${provider}: ${problem}`),
  )
  parts.defer(() => providers.close())
  const read = () => readSetting(configFile, env, storage.directory, providers)
  const setting = await read()
  setting.providers.commit()
  storage.directory.setFileRows(setting.rows.tenants, setting.rows.keys)
  for (const warning of setting.warnings) say(`warning: ${warning}`)
  let { config } = setting
  let switchedOff = setting.providers.problems

  const telemetry = await openTelemetry(config, env, log?.logger, say)
  parts.defer(() => telemetry.close())
  const seed = (systemClock.wallMs() & 0x7fffffff) >>> 0
  const eventLog = config.eventLog === undefined ? undefined : openEventLog(config.eventLog, seed, config.limits, say)
  if (eventLog !== undefined) parts.defer(() => eventLog.close())
  const gateway = await Gateway.start({
    config,
    providers: setting.providers.providers,
    storage,
    limiter,
    priceBook: new PriceBook(),
    clock: systemClock,
    random: seededRandom(seed),
    observer: telemetry.observer,
    ...(setting.tls && { tls: setting.tls }),
    ...(eventLog && { eventLog }),
    onEndpointState: (endpoint, state) => {
      telemetry.endpointState(endpoint, state)
      endpointState(endpoint, state)
    },
    onProviderState: (provider, problem) => {
      // Said before, with what to do.
      if (switchedOff.some((one) => one.provider === provider)) return
      say(problem === undefined ? `${provider} answers` : `warning: ${provider} is left out for now: ${problem}`)
    },
    onBug: bug,
  })
  parts.defer(() => gateway.stop())
  telemetry.watch(gateway, storage)

  const reloader = new Reloader({
    started: setting,
    read,
    say,
    apply: (next) => {
      // The only step that can refuse comes first.
      storage.directory.setFileRows(next.rows.tenants, next.rows.keys)
      gateway.reload(next.config, next.providers.providers)
      if (next.tls !== undefined) gateway.setTls(next.tls.cert, next.tls.key)
      next.providers.commit()
      config = next.config
      switchedOff = next.providers.problems
    },
  })
  const reload = () => reloader.reload()
  const watching = watchFiles(
    () => filesOf(configFile, config),
    () => void reloader.lookAgain(),
  )
  parts.defer(() => watching.close())
  const control = await startControlSocket(config.dataDir, { ...operationsOn(storage, systemClock, () => config) })
  parts.defer(() => control.close())

  return {
    gateway,
    get config() {
      return config
    },
    metricsUrl: telemetry.metricsUrl,
    reload,
    failed: failure.promise,
    async stop(drainMs = config.limits.drainMs) {
      watching.close()
      await gateway.drain(drainMs)
      await parts.disposeAsync()
    },
  }
}
