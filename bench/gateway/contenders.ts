import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { freePort, statusOf } from '../../test/e2e/gateway-process.ts'
import type { Target } from './load.ts'
import { Child, until } from './process.ts'

const root = path.join(import.meta.dirname, '../..')
const tmp = path.join(root, '.tmp')
const portkeyDir = path.join(tmp, 'portkey/node_modules/@portkey-ai/gateway')
/** The load generator and the mock vendor run on the first core, the gateway under test on the second. */
export const loadCore = 0
export const gatewayCore = 1

const vendorKey = 'vendor-secret-0123456789abcdefghijklmnopqrstuvwxyz'
const tenantKey = 'sk-spw-bench-0123456789abcdefghijklmnopqrstuvwxyz0123'

/** Node with what `settle` needs; the same for every gateway that runs on it. */
const nodeArgs = ['--expose-gc', '--import', path.join(import.meta.dirname, 'gc-on-signal.mjs')]

export interface Gateway {
  readonly child: Child
  readonly target: Target
  /** Collects garbage, where there is any. */
  settle(): void
  stop(): Promise<void>
}

export interface Contender {
  readonly name: string
  start(upstreamPort: number): Promise<Gateway>
}

/** The vendor itself: what latencies are compared with. */
export function direct(upstreamPort: number): Target {
  return {
    name: 'direct',
    port: upstreamPort,
    path: '/v1/chat/completions',
    model: 'bench-model',
    headers: { authorization: `Bearer ${vendorKey}` },
  }
}

const nginx: Contender = {
  name: 'nginx',
  async start(upstreamPort) {
    const port = await freePort()
    const dir = emptyDir('nginx')
    const file = path.join(dir, 'nginx.conf')
    writeFileSync(file, nginxConf(dir, port, upstreamPort))
    const child = new Child(gatewayCore, 'nginx', ['-p', dir, '-c', file, '-e', path.join(dir, 'error.log')], {})
    await until(child, 'nginx', () => answers(port, '/v1/models'))
    return gateway(child, { ...direct(upstreamPort), name: 'nginx', port }, () => {})
  },
}

/**
 * A plain proxy as one would put it before an LLM: kept connections to the vendor, answers passed on as they come,
 * bodies in memory. No log, no check of any kind.
 */
function nginxConf(dir: string, port: number, upstreamPort: number): string {
  return `
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid ${dir}/nginx.pid;
events { worker_connections 8192; }
http {
  access_log off;
  client_body_temp_path ${dir}/body;
  proxy_temp_path ${dir}/proxy;
  fastcgi_temp_path ${dir}/fastcgi;
  uwsgi_temp_path ${dir}/uwsgi;
  scgi_temp_path ${dir}/scgi;
  keepalive_requests 10000000;
  client_max_body_size 32m;
  client_body_buffer_size 256k;
  upstream vendor { server 127.0.0.1:${upstreamPort}; keepalive 2048; keepalive_requests 10000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://vendor;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 300s;
    }
  }
}
`
}

const portkey: Contender = {
  name: 'Portkey',
  async start(upstreamPort) {
    const port = await freePort()
    const script = path.join(portkeyDir, 'build/start-server.js')
    const env = { NODE_ENV: 'production' }
    const child = new Child(gatewayCore, process.execPath, [...nodeArgs, script, `--port=${port}`, '--headless'], env)
    await until(child, 'Portkey', () => answers(port, '/'))
    return gateway(child, {
      ...direct(upstreamPort),
      name: 'Portkey',
      port,
      headers: {
        authorization: `Bearer ${vendorKey}`,
        'x-portkey-provider': 'openai',
        'x-portkey-custom-host': `http://127.0.0.1:${upstreamPort}/v1`,
      },
    })
  },
}

const spillway: Contender = {
  name: 'Spillway',
  async start(upstreamPort) {
    const [port, metricsPort] = [await freePort(), await freePort()]
    const dir = emptyDir('spillway')
    const file = path.join(dir, 'spillway.yaml')
    writeFileSync(file, spillwayYaml(port, metricsPort, upstreamPort))
    const child = new Child(
      gatewayCore,
      process.execPath,
      [...nodeArgs, path.join(root, 'src/cli/main.ts'), 'up', '--config', file],
      { VENDOR_KEY: vendorKey, TENANT_KEY: tenantKey },
      openSync(path.join(dir, 'requests.log'), 'w'),
    )
    await until(child, 'Spillway', () => answers(port, '/readyz'))
    return gateway(child, {
      ...direct(upstreamPort),
      name: 'Spillway',
      port,
      headers: { authorization: `Bearer ${tenantKey}` },
    })
  },
}

/** Everything on: keys, every kind of limit, prices and a budget, journal, metrics, the log of requests. */
function spillwayYaml(port: number, metricsPort: number, upstreamPort: number): string {
  return `
listen: { host: 127.0.0.1, port: ${port} }
metrics: { host: 127.0.0.1, port: ${metricsPort} }
location: { country: NL, subProcessor: self }
dataDir: ./data
providers:
  own-nl: { kind: openai-compatible, baseUrl: "http://127.0.0.1:${upstreamPort}/v1", apiKey: { env: VENDOR_KEY }, subProcessor: self, country: NL }
models:
  bench-model:
    endpoints:
      - { provider: own-nl, upstreamModel: upstream-model, concurrencyMax: 4096, usdPerMillionTokens: { input: 0.15, cachedInput: 0.08, output: 0.6 } }
    routing: interactive
plans:
  enterprise: { priority: 30 }
tenants:
  bench: { plan: enterprise, countries: [NL], subProcessors: [self], tokensPerMinute: 100000000000, requestsPerMinute: 100000000, concurrentRequests: 100000, budgetUsdPerMonth: 100000000, keys: [{ env: TENANT_KEY }] }
`
}

export const contenders: readonly Contender[] = [nginx, portkey, spillway]

/** Which tools are missing, in words; empty where all are here. */
export function missingTools(): string[] {
  const missing: string[] = []
  if (process.platform !== 'linux') missing.push('the benchmark reads /proc: it runs on Linux only')
  if (nginxVersion() === undefined) missing.push('nginx is missing: run scripts/install-bench-tools.sh')
  if (!existsSync(portkeyDir)) missing.push('Portkey is missing: run scripts/install-bench-tools.sh')
  return missing
}

export function nginxVersion(): string | undefined {
  return /nginx\/(\S+)/.exec(spawnSync('nginx', ['-v'], { encoding: 'utf8' }).stderr ?? '')?.[1]
}

export function portkeyVersion(): string {
  return (JSON.parse(readFileSync(path.join(portkeyDir, 'package.json'), 'utf8')) as { version: string }).version
}

function gateway(child: Child, target: Target, settle = () => child.signal('SIGUSR2')): Gateway {
  return { child, target, settle, stop: () => child.stop() }
}

function emptyDir(name: string): string {
  const dir = path.join(tmp, 'bench', name)
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(dir, { recursive: true })
  return dir
}

async function answers(port: number, target: string): Promise<true | undefined> {
  return (await statusOf(port, target)) === 200 ? true : undefined
}
