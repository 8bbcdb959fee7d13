import { existsSync, readFileSync } from 'node:fs'
import { request } from 'node:http'
import path from 'node:path'
import { openStorage } from '../adapters/storage/open-storage.ts'
import { controlSocketPath, controlTokenPath } from '../admin/control-path.ts'
import { type Operations, operationsOn } from '../admin/operations.ts'
import { systemClock } from './clock.ts'
import type { Terminal } from './command.ts'
import { configFile, loadConfig } from './config-source.ts'
import { fileRows } from './file-rows.ts'

/** Which data directory a command means: `--data`, or that of `--config`, of ./spillway.yaml, or ./data. */
export interface DataChoice {
  readonly data?: string | undefined
  readonly config?: string | undefined
}

type Call = <Name extends keyof Operations>(
  name: Name,
  ...argument: Parameters<Operations[Name]>
) => Promise<ReturnType<Operations[Name]>>

/**
 * Runs `work` with operations on a data directory: through the process that has it open where there is one, else by
 * opening it here.
 */
export async function withData<T>(
  choice: DataChoice,
  terminal: Terminal,
  work: (call: Call) => Promise<T>,
): Promise<T> {
  const { dataDir, configFile } = chosen(choice, terminal)
  if (existsSync(controlTokenPath(dataDir))) {
    const token = readFileSync(controlTokenPath(dataDir), 'utf8')
    const socketPath = controlSocketPath(dataDir)
    if (await listens(socketPath))
      return work(((name, ...[argument]) => ask(socketPath, token, name, argument)) as Call)
  }
  if (!existsSync(dataDir))
    throw new Error(
      `there is no data directory ${dataDir}; name it with --data DIR or --config FILE, or start Spillway first`,
    )
  const storage = await openStorage({
    dataDir,
    segmentBytesMax: 268_435_456,
    retentionDays: Number.POSITIVE_INFINITY,
    clock: systemClock,
    onFatal: (reason) => terminal.err(reason),
  })
  try {
    if (configFile !== undefined) {
      const { config } = loadConfig({ kind: 'file', path: configFile })
      const rows = fileRows(config, terminal.env, path.dirname(configFile), storage.directory)
      storage.directory.setFileRows(rows.tenants, rows.keys)
    }
    const operations = operationsOn(storage, systemClock)
    return await work((async (name, ...[argument]) => operations[name](argument as never)) as Call)
  } finally {
    await storage.close()
  }
}

function chosen(
  { data, config }: DataChoice,
  terminal: Terminal,
): { readonly dataDir: string; readonly configFile: string | undefined } {
  if (data !== undefined) return { dataDir: path.resolve(terminal.cwd, data), configFile: undefined }
  const file = configFile(config, terminal)
  if (config !== undefined || existsSync(file))
    return { dataDir: loadConfig({ kind: 'file', path: file }).config.dataDir, configFile: file }
  const demo = path.resolve(terminal.cwd, 'data/demo/gateway')
  return { dataDir: existsSync(demo) ? demo : path.resolve(terminal.cwd, 'data'), configFile: undefined }
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

/** Calls an operation of the running process. */
export function ask(socketPath: string, token: string, name: string, argument: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const call = request(
      { socketPath, path: `/${name}`, method: 'POST', headers: { authorization: `Bearer ${token}` } },
      (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('end', () => {
          const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as { result?: unknown; message?: string }
          if (answer.statusCode === 200) resolve(body.result)
          else reject(new Error(body.message ?? `the running process answered with status ${answer.statusCode}`))
        })
      },
    )
    call.on('error', (error) => reject(new Error(`the running process cannot be asked: ${error.message}`)))
    call.end(JSON.stringify(argument ?? null))
  })
}
