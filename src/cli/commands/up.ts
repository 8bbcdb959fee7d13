import { existsSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { type Command, type Terminal, UsageError } from '../command.ts'
import type { ConfigSource } from '../config-source.ts'
import { type DemoSetting, prepareDemo } from '../demo-setting.ts'
import { discoverCapacity, foundYaml } from '../discover.ts'
import { type Host, startHost } from '../host.ts'

const usage = `spillway up [--config FILE] [--demo] [--port N] [--data DIR]

Starts the gateway.

  --config FILE   the configuration (default: ./spillway.yaml)
  --demo          starts the demo clouds too, simulations on this machine, and serves from them
  --port N        listens there instead
  --data DIR      with --demo: where its files go (default: ./data/demo)`

export const command: Command = {
  name: 'up',
  summary: 'start the gateway',
  usage,
  async run(args, terminal) {
    const { values } = readArgs(args)
    const port = values.port === undefined ? undefined : Number(values.port)
    if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port < 65_536))
      throw new UsageError('--port takes a number from 0 to 65535')
    if (values.demo === true && values.config !== undefined)
      throw new UsageError('--demo makes its own configuration: give --demo or --config, not both')
    if (values.demo === true) return runDemo(path.resolve(terminal.cwd, values.data ?? 'data/demo'), port, terminal)
    const file = path.resolve(terminal.cwd, values.config ?? 'spillway.yaml')
    if (!existsSync(file))
      throw new Error(
        `there is no ${path.relative(terminal.cwd, file) || file}: name a configuration with --config FILE, or try spillway up --demo`,
      )
    return serve({ kind: 'file', path: file }, terminal, undefined)
  },
}

function readArgs(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        config: { type: 'string' },
        demo: { type: 'boolean' },
        port: { type: 'string' },
        data: { type: 'string' },
      },
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

/** The demo clouds, and a gateway in front of them. */
export async function runDemo(dir: string, port: number | undefined, terminal: Terminal): Promise<number> {
  const demo = await prepareDemo(dir, port)
  try {
    return await serve(demo.source, terminal, demo)
  } finally {
    await demo.stop()
  }
}

/** Serves until SIGTERM or SIGINT, then drains. A second signal ends at once. */
export async function serve(source: ConfigSource, terminal: Terminal, demo: DemoSetting | undefined): Promise<number> {
  // A log collector reads stdout, a person looks at a terminal: each gets what it can use.
  const logRequests = process.stdout.isTTY !== true
  const host = await startHost({ source, env: terminal.env, say: (line) => terminal.err(line), logRequests })
  const text = await banner(host, terminal, demo)
  if (logRequests) terminal.err(text)
  else terminal.out(text)
  const reason = await Promise.race([
    new Promise<'signal'>((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve('signal'))
      process.on('SIGHUP', () => void host.reload())
    }),
    host.failed,
  ])
  if (reason !== 'signal') {
    terminal.err(`spillway: ${reason}; the process ends so that nothing is lost`)
    return 1
  }
  const seconds = Math.round(host.config.limits.drainMs / 1000)
  if (host.gateway.openRequests > 0)
    terminal.err(`finishing ${host.gateway.openRequests} open requests (up to ${seconds} s; again to end at once) …`)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  await host.stop()
  return 0
}

async function banner(host: Host, terminal: Terminal, demo: DemoSetting | undefined): Promise<string> {
  const { config, gateway } = host
  const scheme = config.tls === undefined ? 'http' : 'https'
  const shownHost = config.listen.host === '0.0.0.0' || config.listen.host === '::' ? 'localhost' : config.listen.host
  const url = `${scheme}://${shownHost}:${gateway.port}/v1`
  const places = new Set(
    Object.values(config.providers).map(({ subProcessor, country }) => `${subProcessor}/${country}`),
  )
  const lines = [
    '',
    `${terminal.bold('Spillway')} serves ${Object.keys(config.models).join(', ') || 'no model'} from ${places.size} places`,
    '',
    `  endpoint  ${terminal.bold(url)}`,
  ]
  if (config.metrics !== 'off') lines.push(`  metrics   http://${config.metrics.host}:${config.metrics.port}/metrics`)
  if (demo !== undefined) {
    lines.push(
      `  key       ${terminal.bold(demo.key)}`,
      '',
      terminal.dim('  The clouds behind it are simulations on this machine, each a process of its own.'),
      '',
    )
    lines.push('Ask it:', '', `  curl ${url}/chat/completions -H 'authorization: Bearer ${demo.key}' \\`)
    lines.push(`    -H 'content-type: application/json' -N \\`)
    lines.push(`    -d '{"model":"chat-large","stream":true,"messages":[{"role":"user","content":"Hello"}]}'`, '')
    lines.push('Switch one cloud off, and ask again:', '', `  ${demo.failCommand}`, '')
  } else {
    lines.push('', `  Make a key: spillway keys create --tenant ${Object.keys(config.tenants)[0] ?? 'NAME'}`, '')
  }
  const found = await discoverCapacity(terminal.env, {})
  if (found.length > 0) {
    lines.push(
      'Real capacity was found. Nothing goes there before it stands in spillway.yaml; to add it:',
      '',
      foundYaml(found).replace(/^/gm, '  '),
      '',
    )
  }
  return lines.join('\n')
}
