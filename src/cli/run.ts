import { readFileSync } from 'node:fs'
import { nearest } from '../config/nearest.ts'
import { UsageError } from './command.ts'
import { spelled } from './command-line.ts'
import { commands } from './commands/index.ts'
import { openTerminal, type TerminalOptions } from './terminal.ts'

/** Runs one command line. Gives the exit code: 0, 1 for a failure, 2 for words that are not understood. Never throws. */
export async function run(words: readonly string[], options: Omit<TerminalOptions, 'json'>): Promise<number> {
  const terminal = openTerminal({ ...options, json: words.includes('--json') })
  const [name, ...rest] = words.filter((word) => word !== '--json')
  const fail = (message: string, code: number): number => {
    terminal.err(`${terminal.bad('spillway:')} ${message}`)
    return code
  }
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    options.stdout.write(overview())
    return name === undefined ? 2 : 0
  }
  if (name === '--version' || name === '-v') {
    options.stdout.write(`${version()}\n`)
    return 0
  }
  const command = commands.find((one) => one.name === name)
  if (command === undefined) {
    const meant = nearest(
      name,
      commands.map((one) => one.name),
    )
    const hint = meant === undefined ? `${spelled('--help')} lists those there are` : `did you mean ${meant}?`
    return fail(`there is no command ${name}; ${hint}`, 2)
  }
  if (rest.includes('--help') || rest.includes('-h')) {
    options.stdout.write(`${command.usage}\n`)
    return 0
  }
  try {
    return await command.run(rest, terminal)
  } catch (error) {
    const { message } = error as Error
    return error instanceof UsageError ? fail(`${message}; see ${spelled(`${name} --help`)}`, 2) : fail(message, 1)
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
