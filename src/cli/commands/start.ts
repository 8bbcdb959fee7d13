import { existsSync } from 'node:fs'
import path from 'node:path'
import type { Command } from '../command.ts'
import { runDemo, serve } from './up.ts'

/** What `npm start` runs: the workspace's own configuration where there is one, the demo where there is none. */
export const command: Command = {
  name: 'start',
  summary: 'start with ./spillway.yaml or $SPILLWAY_CONFIG, or else the demo',
  usage: `spillway start

Starts the gateway with the file that SPILLWAY_CONFIG names, else with ./spillway.yaml, else with the demo clouds
(simulations on this machine). SPILLWAY_PORT moves the demo to another port.`,
  async run(_args, terminal) {
    const named = terminal.env['SPILLWAY_CONFIG']
    const file = path.resolve(terminal.cwd, named ?? 'spillway.yaml')
    if (named !== undefined || existsSync(file)) return serve({ kind: 'file', path: file }, terminal, undefined)
    const port = terminal.env['SPILLWAY_PORT']
    return runDemo(path.resolve(terminal.cwd, 'data/demo'), port === undefined ? undefined : Number(port), terminal)
  },
}
