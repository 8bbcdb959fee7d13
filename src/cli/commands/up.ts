import { existsSync } from 'node:fs'
import path from 'node:path'
import { banner } from '../banner.ts'
import { type Command, type Terminal, UsageError } from '../command.ts'
import { configFile } from '../config-source.ts'
import { type DemoSetting, prepareDemo } from '../demo-setting.ts'
import { startHost } from '../host.ts'
import { noWords, portNumber, readOptions } from '../options.ts'
import { firstSignal } from '../signals.ts'

export const command: Command = {
  name: 'up',
  summary: 'start the gateway',
  usage: `spillway up [--config FILE]
spillway up --demo [--port N] [--data DIR]

Starts the gateway and serves until Ctrl-C or SIGTERM; answers that are open may end first, a second Ctrl-C cuts them.
A change of the configuration, or SIGHUP, puts it in force at once.

  --config FILE   the configuration (default: $SPILLWAY_CONFIG, else ./spillway.yaml)
  --demo          starts the demo clouds too, simulations on this machine, and serves from them
  --port N        with --demo: listens there (default: 8420)
  --data DIR      with --demo: where its files go (default: ./data/demo)`,
  async run(args, terminal) {
    const { values, positionals } = readOptions(args, {
      config: { type: 'string' },
      demo: { type: 'boolean' },
      port: { type: 'string' },
      data: { type: 'string' },
    })
    noWords(positionals)
    const port = portNumber('--port', values.port)
    if (values.demo === true) {
      if (values.config !== undefined)
        throw new UsageError('--demo makes its own configuration: give --demo or --config, not both')
      return runDemo(path.resolve(terminal.cwd, values.data ?? 'data/demo'), port, terminal)
    }
    for (const name of ['port', 'data'] as const)
      if (values[name] !== undefined)
        throw new UsageError(
          `--${name} goes with --demo; a configuration says it in ${name === 'port' ? 'listen.port' : 'dataDir'}`,
        )
    const file = configFile(values.config, terminal)
    if (values.config === undefined && !existsSync(file))
      throw new Error(`there is no ${file}; name a configuration with --config FILE, or try spillway up --demo`)
    return serve(file, terminal, undefined)
  },
}

/** The demo clouds, and a gateway in front of them. */
export async function runDemo(dir: string, port: number | undefined, terminal: Terminal): Promise<number> {
  const demo = await prepareDemo(dir, port)
  try {
    return await serve(demo.configFile, terminal, demo)
  } finally {
    await demo.stop()
  }
}

/** Serves until SIGTERM or SIGINT, then drains. A second signal ends at once. */
export async function serve(file: string, terminal: Terminal, demo: DemoSetting | undefined): Promise<number> {
  // A log collector reads stdout, a person looks at a terminal: each gets what it can use.
  const logRequests = process.stdout.isTTY !== true
  const say = (line: string) => terminal.err(line)
  const starting = startHost({ configFile: file, env: terminal.env, say, logRequests })
  // Listened for from the beginning: a signal that nobody listens for ends the process as it stands.
  const signalled = firstSignal()
  process.on('SIGHUP', () => void starting.then((host) => host.reload()).catch(() => {}))
  const host = await starting
  const { text, facts } = await banner(host, terminal, file, demo)
  if (terminal.json) terminal.event(facts)
  else if (logRequests) terminal.err(text)
  else terminal.out(text)
  const reason = await Promise.race([signalled, host.failed])
  if (reason !== undefined) {
    terminal.err(`spillway: ${reason}; the process ends so that nothing is lost`)
    setTimeout(() => process.exit(1), abandonMs).unref()
    await host.stop(0)
    return 1
  }
  const { openRequests } = host.gateway
  if (openRequests > 0) {
    const seconds = Math.round(host.config.limits.drainMs / 1_000)
    terminal.err(
      `finishing ${openRequests} open ${openRequests === 1 ? 'request' : 'requests'} (up to ${seconds} s; Ctrl-C again ends at once) …`,
    )
  }
  await host.stop()
  terminal.err('stopped')
  return 0
}

/** A process that must end does so after this time, whatever is still open. */
const abandonMs = 5_000
