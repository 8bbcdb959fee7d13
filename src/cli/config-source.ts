import { existsSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import type { ConfigIssue, ConfigResult } from '../config/config.ts'
import { parseConfig } from '../config/parse.ts'
import type { Terminal } from './command.ts'

/** The file a command means: the one it was given, or SPILLWAY_CONFIG, or ./spillway.yaml. Absolute. */
export function configFile(given: string | undefined, { cwd, env }: Pick<Terminal, 'cwd' | 'env'>): string {
  return path.resolve(cwd, given ?? (env['SPILLWAY_CONFIG'] || 'spillway.yaml'))
}

/** The configuration that the demo writes into its folder. */
export function demoConfigFile(dir: string): string {
  return path.join(dir, 'spillway.yaml')
}

/** As `configFile`, for commands that look at what is there: where no file is named and none is there, the demo's. */
export function configFileThere(given: string | undefined, terminal: Pick<Terminal, 'cwd' | 'env'>): string {
  const file = configFile(given, terminal)
  const demo = demoConfigFile(path.resolve(terminal.cwd, 'data/demo'))
  return given === undefined && !terminal.env['SPILLWAY_CONFIG'] && !existsSync(file) && existsSync(demo) ? demo : file
}

/** Reads and checks the whole; throws one Error that lists every mistake. */
export function loadConfig(file: string): ConfigResult & { kind: 'valid' } {
  const result = readConfig(file)
  if (result.kind === 'valid') return result
  const { issues } = result
  throw new Error(
    `${file} has ${issues.length} ${issues.length === 1 ? 'mistake' : 'mistakes'}:\n${issueLines(issues)}`,
  )
}

/** Reads and checks the whole. Throws only where the file cannot be read. */
export function readConfig(file: string): ConfigResult {
  return parseConfig(readText(file), {
    fileDir: path.dirname(file),
    joinPath: (dir, relative) => path.resolve(dir, relative),
  })
}

export function issueLines(issues: readonly ConfigIssue[]): string {
  return issues
    .map(
      ({ path: place, message, line }) =>
        `  ${line === undefined ? '' : `line ${line}: `}${place === '' ? '' : `${place}: `}${message}`,
    )
    .join('\n')
}

const textBytesMax = 4 * 1024 * 1024

/** The text of a file that people write; one that is far larger than any of them is not read. */
function readText(file: string): string {
  try {
    const { size } = statSync(file)
    if (size > textBytesMax) throw new Error('it is larger than 4 MiB')
    return readFileSync(file, 'utf8')
  } catch (error) {
    const reason =
      (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (error as Error).message
    throw new Error(`cannot read ${file}: ${reason}; check --config and SPILLWAY_CONFIG`)
  }
}
