import { run } from './run.ts'

export interface Printed {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs a command line in this process, as in a pipe. */
export async function runInPipe(
  words: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Printed> {
  let out = ''
  let err = ''
  const code = await run(words, {
    env,
    cwd,
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
  })
  return { code, out, err }
}
