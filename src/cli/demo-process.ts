import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { areRunning, type DemoCloud, type DemoDirectory, directoryFile, readDirectory } from './demo-control.ts'

export interface DemoClouds {
  readonly clouds: readonly DemoCloud[]
  /** Providers, models, plans and the tenant `demo`, as YAML; secrets are named relative to the directory. */
  readonly configYaml: string
  stop(): Promise<void>
}

export interface DemoOptions {
  /** Credentials, logs and `clouds.json` go here. */
  readonly dir: string
  /** Divides all times. */
  readonly speed?: number
  readonly slotsScale?: number
}

interface Started {
  readonly vendor: string
  readonly clouds: readonly Omit<DemoCloud, 'vendor'>[]
  readonly control: { readonly port: number; readonly token: string }
}

const vendors = ['microsoft', 'google-cloud', 'coreweave', 'self']
const startMs = 15_000
// The same ending as this file: TypeScript in a clone, JavaScript in the package.
const script = fileURLToPath(new URL(`../../demo/main${path.extname(import.meta.url)}`, import.meta.url))

/**
 * Starts the demo clouds, each vendor a process of its own. They end with this process, however it ends. Throws where
 * clouds of this directory are running already: they would lose their keys to the new ones.
 */
export async function startDemoClouds({ dir, speed = 1, slotsScale = 1 }: DemoOptions): Promise<DemoClouds> {
  const before = readDirectory(dir)
  if (before !== undefined && (await areRunning(before)))
    throw new Error(`the demo is running already with its files in ${dir}; stop it first, or name another folder`)
  mkdirSync(dir, { recursive: true })
  const children: ChildProcess[] = []
  const stop = async (): Promise<void> => {
    await Promise.all(children.map(stopped))
    rmSync(directoryFile(dir), { force: true })
  }
  try {
    const started = await Promise.all(
      vendors.map((vendor) => {
        const child = spawn(
          process.execPath,
          [script, '--vendor', vendor, '--dir', dir, '--speed', String(speed), '--slots-scale', String(slotsScale)],
          { stdio: ['pipe', 'pipe', 'inherit'] },
        )
        children.push(child)
        return firstLine(child, vendor)
      }),
    )
    const clouds = started.flatMap(({ vendor, clouds: listed }) => listed.map((cloud) => ({ vendor, ...cloud })))
    const control = Object.fromEntries(started.map(({ vendor, control: port }) => [vendor, port]))
    const directory: DemoDirectory = { clouds, control }
    writeFileSync(directoryFile(dir), `${JSON.stringify(directory, undefined, 2)}\n`, { mode: 0o600 })
    return { clouds, configYaml: configYaml(clouds), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function firstLine(child: ChildProcess, vendor: string): Promise<Started> {
  return new Promise((resolve, reject) => {
    let text = ''
    const timer = setTimeout(
      () => reject(new Error(`the demo cloud ${vendor} did not start within ${startMs / 1000} s`)),
      startMs,
    )
    child.once('exit', (code) => reject(new Error(`the demo cloud ${vendor} ended at start with code ${code}`)))
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      const end = text.indexOf('\n')
      if (end < 0) return
      clearTimeout(timer)
      child.removeAllListeners('exit')
      resolve(JSON.parse(text.slice(0, end)) as Started)
    })
  })
}

function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), 2_000)
    child.once('exit', () => {
      clearTimeout(timer)
      resolve()
    })
    child.stdin?.end()
  })
}

const regions: Readonly<Record<string, string>> = {
  US: 'us-central1',
  GB: 'europe-west2',
  JP: 'asia-northeast1',
  NL: 'europe-west4',
  NO: 'demo-norway1',
}
/** What the vendors list for gpt-oss-120b (the price book's, July 2026), with cached input at about half. */
const prices = 'usdPerMillionTokens: { input: 0.15, cachedInput: 0.08, output: 0.6 }'

function configYaml(clouds: readonly DemoCloud[]): string {
  const name = ({ vendor, country }: DemoCloud) => `${vendor}-${country.toLowerCase()}`
  const endpoint = (cloud: DemoCloud, upstreamModel: string) =>
    `      - { provider: ${name(cloud)}, upstreamModel: ${upstreamModel}, concurrencyMax: ${cloud.slots}, ${prices} }`
  const small = clouds.filter(({ vendor }) => vendor === 'self' || vendor === 'coreweave')
  return `location: { country: NL, subProcessor: self }
providers:
${clouds.map((cloud) => `  ${name(cloud)}: ${providerYaml(cloud)}`).join('\n')}
models:
  chat-large:
    endpoints:
${clouds.map((cloud) => endpoint(cloud, upstreamModels[cloud.vendor] ?? 'openai/gpt-oss-120b')).join('\n')}
    routing: interactive
  chat-small:
    endpoints:
${small.map((cloud) => endpoint(cloud, 'openai/gpt-oss-20b')).join('\n')}
plans:
  enterprise: { priority: 30 }
  team:       { priority: 20 }
  edu:        { priority: 20 }
  api:        { priority: 10 }
tenants:
  demo: { plan: enterprise, countries: any, subProcessors: any, keys: [{ file: key }] }
`
}

const upstreamModels: Readonly<Record<string, string>> = {
  microsoft: 'gpt-oss-120b',
  'google-cloud': 'openai/gpt-oss-120b-maas',
}

function providerYaml({ vendor, country, port }: DemoCloud): string {
  const url = `http://127.0.0.1:${port}`
  const place = `subProcessor: ${vendor}, country: "${country}"`
  if (vendor === 'microsoft') return `{ kind: azure, baseUrl: "${url}", apiKey: { file: azure-key }, ${place} }`
  if (vendor === 'google-cloud')
    return `{ kind: vertex, project: demo, location: ${regions[country]}, baseUrl: "${url}", credentials: { file: google.json }, ${place} }`
  return `{ kind: openai-compatible, baseUrl: "${url}/v1", apiKey: { file: ${vendor}-key }, ${place} }`
}
