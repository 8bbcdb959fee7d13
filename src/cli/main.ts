#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { UsageError } from './command.ts'
import { commands } from './commands/index.ts'
import { openTerminal } from './terminal.ts'

const nodeMajorMin = 24

async function main(words: readonly string[]): Promise<number> {
  const json = words.includes('--json')
  const terminal = openTerminal({
    env: process.env,
    cwd: process.cwd(),
    json,
    stdout: process.stdout,
    stderr: process.stderr,
  })
  const [name, ...rest] = words.filter((word) => word !== '--json')
  const fail = (message: string, code: number): number => {
    terminal.err(`${terminal.bad('spillway:')} ${message}`)
    return code
  }
  if (Number(process.versions.node.split('.')[0]) < nodeMajorMin)
    return fail(`Node ${process.versions.node} is too old; Spillway needs Node ${nodeMajorMin} or newer`, 1)
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    process.stdout.write(overview())
    return name === undefined ? 2 : 0
  }
  if (name === '--version' || name === '-v') {
    process.stdout.write(`${version()}\n`)
    return 0
  }
  const command = commands.find((one) => one.name === name)
  if (command === undefined) return fail(`there is no command ${name}; spillway --help lists those there are`, 2)
  if (rest.includes('--help') || rest.includes('-h')) {
    process.stdout.write(`${command.usage}\n`)
    return 0
  }
  try {
    return await command.run(rest, terminal)
  } catch (error) {
    if (error instanceof UsageError) return fail(`${error.message}; spillway ${name} --help shows how`, 2)
    return fail((error as Error).message, 1)
  }
}

function version(): string {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

function overview(): string {
  const width = Math.max(...commands.map((command) => command.name.length))
  const lines = commands.map((command) => `  ${command.name.padEnd(width)}  ${command.summary}`)
  return `usage: spillway COMMAND [OPTIONS]\n\n${lines.join('\n')}\n\nspillway COMMAND --help says more; --json makes any output JSON.\n`
}

process.exitCode = await main(process.argv.slice(2))
