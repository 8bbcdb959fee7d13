import { existsSync } from 'node:fs'
import path from 'node:path'
import type { Command } from '../command.ts'
import { configFile } from '../config-source.ts'
import { noWords, portNumber, readOptions } from '../options.ts'
import { runDemo, serve } from './up.ts'

/** What `npm start` runs: the workspace's own configuration where there is one, the demo where there is none. */
export const command: Command = {
  name: 'start',
  summary: 'start with $SPILLWAY_CONFIG or ./spillway.yaml, or else the demo',
  usage: `spillway start

Starts the gateway with the file that SPILLWAY_CONFIG names, else with ./spillway.yaml, else with the demo clouds
(simulations on this machine, see spillway up --help). SPILLWAY_PORT moves the demo to another port than 8420.`,
  async run(args, terminal) {
    noWords(readOptions(args, {}).positionals)
    const file = configFile(undefined, terminal)
    if (terminal.env['SPILLWAY_CONFIG'] || existsSync(file)) return serve(file, terminal, undefined)
    const port = portNumber('SPILLWAY_PORT', terminal.env['SPILLWAY_PORT'])
    return runDemo(path.resolve(terminal.cwd, 'data/demo'), port, terminal)
  },
}
