import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { ConfigSource } from './config-source.ts'
import { startDemoClouds } from './demo-process.ts'

/** The demo clouds and a configuration that serves from them. */
export interface DemoSetting {
  readonly source: ConfigSource
  readonly key: string
  /** What to type to take one cloud down. */
  readonly failCommand: string
  stop(): Promise<void>
}

/** Starts the demo clouds and writes down how to reach them. The demo's key is made once and kept with its files. */
export async function prepareDemo(dir: string, port: number | undefined): Promise<DemoSetting> {
  mkdirSync(dir, { recursive: true })
  const keyFile = path.join(dir, 'key')
  if (!existsSync(keyFile)) writeFileSync(keyFile, `sk-spw-${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 })
  const clouds = await startDemoClouds({ dir })
  const listen = `listen: { host: 127.0.0.1, port: ${port ?? 8420} }\ndataDir: ${JSON.stringify(path.join(dir, 'gateway'))}\n`
  return {
    source: { kind: 'text', text: `${listen}${clouds.configYaml}`, dir },
    key: readFileSync(keyFile, 'utf8').trim(),
    failCommand: `${runsFromClone() ? 'npm run spillway -- ' : 'spillway '}demo fail google-cloud/NL${path.resolve('data/demo') === dir ? '' : ` --dir ${dir}`}`,
    stop: () => clouds.stop(),
  }
}

function runsFromClone(): boolean {
  return import.meta.url.endsWith('.ts')
}
