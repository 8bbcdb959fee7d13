import { existsSync } from 'node:fs'
import { request } from 'node:http'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { withLedgerFile } from '../adapters/storage/ledger-file.ts'
import { DataDirInUseError } from '../adapters/storage/lock.ts'
import { openStorage } from '../adapters/storage/open-storage.ts'
import type { UsageQuery } from '../adapters/storage/storage.ts'
import { type ControlFile, readControlFile } from '../admin/control-file.ts'
import { type OnProgress, type Operations, operationsOn } from '../admin/operations.ts'
import type { Config } from '../config/config.ts'
import { systemClock } from './clock.ts'
import type { Terminal } from './command.ts'
import { configFileThere, loadConfig } from './config-source.ts'
import { fileRows } from './file-rows.ts'

/** Which data directory a command means: `--data`, or that of the configuration, or the demo's, or ./data. */
export interface DataChoice {
  readonly data?: string | undefined
  readonly config?: string | undefined
}

type Call = <Name extends keyof Operations>(
  name: Name,
  ...argument: Parameters<Operations[Name]>
) => Promise<ReturnType<Operations[Name]>>

/** A process that starts or ends has the data directory for a while before and after it can be asked. */
const startingMsMax = 15_000
const askAgainMs = 100

/**
 * Runs `work` with operations on a data directory: through the process that has it open where there is one, else by
 * opening it here.
 */
export async function withData<T>(
  choice: DataChoice,
  terminal: Terminal,
  work: (call: Call) => Promise<T>,
): Promise<T> {
  const data = chosen(choice, terminal)
  if (!existsSync(data.dataDir))
    throw new Error(
      `there is no data directory ${data.dataDir}; name it with --data DIR or --config FILE, or start Spillway first`,
    )
  for (const dueMs = performance.now() + startingMsMax; ; ) {
    const control = readControlFile(data.dataDir)
    if (control !== undefined && (await listens(control.socket))) return work(callsOver(control, data.dataDir))
    try {
      return await withOwnData(data, terminal, work)
    } catch (error) {
      if (!(error instanceof DataDirInUseError) || performance.now() > dueMs) throw error
      await new Promise((resolve) => setTimeout(resolve, askAgainMs))
    }
  }
}

/** Sums over all of the ledger are made in this process, so that no answer of the running one waits for them. */
function callsOver(control: ControlFile, dataDir: string): Call {
  const call = async (name: keyof Operations, argument: unknown, onProgress?: OnProgress): Promise<unknown> => {
    if (name !== 'usage.sum' && name !== 'usage.accounts') return ask(control, name, argument, onProgress)
    await ask(control, 'usage.project', null)
    return withLedgerFile(dataDir, (ledger) =>
      name === 'usage.sum' ? ledger.usage(argument as UsageQuery) : ledger.accounts(),
    )
  }
  return call as Call
}

async function withOwnData<T>(
  { dataDir, configFile, config }: Data,
  terminal: Terminal,
  work: (call: Call) => Promise<T>,
): Promise<T> {
  const storage = await openStorage({
    dataDir,
    segmentBytesMax: 268_435_456,
    retentionDays: Number.POSITIVE_INFINITY,
    clock: systemClock,
    onFatal: (reason) => terminal.err(reason),
    say: (line) => terminal.err(line),
  })
  try {
    if (config !== undefined && configFile !== undefined) {
      const rows = fileRows(config, terminal.env, path.dirname(configFile), storage.directory)
      storage.directory.setFileRows(rows.tenants, rows.keys)
    }
    const operations = operationsOn(storage, systemClock, () => config)
    return await work((async (name, argument, onProgress) => operations[name](argument as never, onProgress)) as Call)
  } finally {
    await storage.close()
  }
}

interface Data {
  readonly dataDir: string
  readonly configFile?: string
  readonly config?: Config
}

function chosen({ data, config: given }: DataChoice, terminal: Terminal): Data {
  if (data !== undefined) return { dataDir: path.resolve(terminal.cwd, data) }
  const file = configFileThere(given, terminal)
  if (given === undefined && !terminal.env['SPILLWAY_CONFIG'] && !existsSync(file))
    return { dataDir: path.resolve(terminal.cwd, 'data') }
  const { config } = loadConfig(file)
  return { dataDir: config.dataDir, configFile: file, config }
}

function listens(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = request({ socketPath, path: '/', timeout: 1_000 }, (answer) => {
      answer.resume()
      resolve(true)
    })
    probe.on('timeout', () => probe.destroy())
    probe.on('error', () => resolve(false))
    probe.end()
  })
}

/** Calls an operation of the running process, which answers with lines of JSON: how far it is, then the result. */
function ask(
  { socket, token }: ControlFile,
  name: string,
  argument: unknown,
  onProgress?: OnProgress,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const failed = (reason: string): void => reject(new Error(`the running process cannot be asked: ${reason}`))
    const call = request(
      { socketPath: socket, path: `/${name}`, method: 'POST', headers: { authorization: `Bearer ${token}` } },
      async (answer) => {
        try {
          for await (const text of createInterface({ input: answer })) {
            const line = JSON.parse(text) as Line
            if ('progress' in line) onProgress?.(...line.progress)
            else if ('result' in line) return resolve(line.result)
            else return reject(new Error(line.message))
          }
          failed('it broke off its answer')
        } catch (error) {
          failed((error as Error).message)
        }
      },
    )
    call.on('error', (error) => failed(error.message))
    call.end(JSON.stringify(argument ?? null))
  })
}

type Line =
  | { readonly progress: readonly [done: number, total: number] }
  | { readonly result: unknown }
  | { readonly message: string }
