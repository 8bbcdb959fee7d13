import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import { spelled } from './command-line.ts'
import { demoConfigFile } from './config-source.ts'
import { startDemoClouds } from './demo-process.ts'

/** The demo clouds and a configuration that serves from them. */
export interface DemoSetting {
  readonly configFile: string
  readonly key: string
  /** What to type to take one cloud down. */
  readonly failCommand: string
  stop(): Promise<void>
}

const host = '127.0.0.1'
const defaultPort = 8_420
const metricsPort = 9_464

/**
 * Starts the demo clouds and writes down how to reach them. The demo's key is made once and kept with its files. Throws
 * where the port is in use, before anything is started.
 */
export async function prepareDemo(dir: string, port = defaultPort): Promise<DemoSetting> {
  if (!(await isFree(port)))
    throw new Error(
      `cannot listen on ${host}:${port}: the port is in use; stop the other process, or set SPILLWAY_PORT (or --port) to another`,
    )
  mkdirSync(dir, { recursive: true })
  const keyFile = path.join(dir, 'key')
  if (!existsSync(keyFile)) writeFileSync(keyFile, `sk-spw-${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 })
  const clouds = await startDemoClouds({ dir })
  const configFile = demoConfigFile(dir)
  const head = [
    '# Written anew each time the demo starts: the clouds are simulations, their ports change.',
    `listen: { host: ${host}, port: ${port} }`,
    // Any other will do where the usual one is taken: a demo must not fail for its metrics.
    `metrics: { host: ${host}, port: ${(await isFree(metricsPort)) ? metricsPort : 0} }`,
    'dataDir: ./gateway',
  ]
  writeFileSync(configFile, `${head.join('\n')}\n${clouds.configYaml}`, { mode: 0o600 })
  return {
    configFile,
    key: readFileSync(keyFile, 'utf8').trim(),
    failCommand: spelled(`demo fail google-cloud/NL${path.resolve('data/demo') === dir ? '' : ` --dir ${dir}`}`),
    stop: () => clouds.stop(),
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, host, () => server.close(() => resolve(true)))
  })
}
