import { readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import type { ConfigIssue, ConfigResult } from '../config/config.ts'
import { parseConfig } from '../config/parse.ts'
import type { Terminal } from './command.ts'

/** Where the configuration comes from: a file, or text made by this process (the demo's). */
export type ConfigSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'text'; readonly text: string; readonly dir: string }

/** The directory that relative paths in the configuration are relative to. */
export function sourceDir(source: ConfigSource): string {
  return source.kind === 'file' ? path.dirname(path.resolve(source.path)) : source.dir
}

/** The file a command means: the one it was given, or SPILLWAY_CONFIG, or ./spillway.yaml. Absolute. */
export function configFile(given: string | undefined, { cwd, env }: Pick<Terminal, 'cwd' | 'env'>): string {
  return path.resolve(cwd, given ?? (env['SPILLWAY_CONFIG'] || 'spillway.yaml'))
}

/** Reads and checks the whole; throws one Error that lists every mistake. */
export function loadConfig(source: ConfigSource): ConfigResult & { kind: 'valid' } {
  const text = source.kind === 'text' ? source.text : readText(source.path)
  const result = parseConfig(text, {
    fileDir: sourceDir(source),
    joinPath: (dir, relative) => path.resolve(dir, relative),
  })
  if (result.kind === 'invalid') {
    const name = source.kind === 'file' ? source.path : 'the configuration'
    throw new Error(
      `${name} has ${result.issues.length} ${result.issues.length === 1 ? 'mistake' : 'mistakes'}:\n${issueLines(result.issues)}`,
    )
  }
  return result
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
export function readText(file: string): string {
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
