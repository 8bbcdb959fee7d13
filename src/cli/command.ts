/** One line that grows: a bar where the terminal can draw, a line now and then where it cannot, nothing with `--json`. */
export interface Progress {
  update(done: number, note?: string): void
  end(note?: string): void
}

/** Where a command reads and writes; tests hand in their own. */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** `--json` was given: `result` prints one JSON value, `out` prints nothing. */
  readonly json: boolean
  readonly color: boolean
  /** For people. Adds the line end. */
  out(text: string): void
  err(text: string): void
  /** The result: as JSON with `--json`, else as `text`. */
  result(value: unknown, text: string): void
  /** One line of JSON where lines of JSON may follow; nothing without `--json`. */
  event(value: unknown): void
  table(columns: readonly string[], rows: readonly (readonly string[])[]): string
  progress(label: string, total: number): Progress
  bold(text: string): string
  dim(text: string): string
  good(text: string): string
  bad(text: string): string
}

/** Thrown for wrong words on the command line: one line, exit code 2. */
export class UsageError extends Error {}

/** One command of `spillway`; lives in `commands/NAME.ts` and is listed in `commands/index.ts`. */
export interface Command {
  readonly name: string
  readonly summary: string
  /** Printed by `--help`, whole. */
  readonly usage: string
  /** Gives the exit code. Throws `UsageError` (exit 2), or any Error whose message says what, where, what to do (exit 1). */
  run(args: readonly string[], terminal: Terminal): Promise<number>
}
