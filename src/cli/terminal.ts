import type { Progress, Terminal } from './command.ts'

/** Where a terminal writes; tests hand in their own. */
export interface TerminalOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly json: boolean
  readonly stdout: { write(text: string): unknown; readonly isTTY?: boolean }
  readonly stderr: { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number }
}

const redrawMs = 100
const plainEveryMs = 5_000

/** Colours and bars where a person looks at them, plain lines where a program or a log does. */
export function openTerminal({ env, cwd, json, stdout, stderr }: TerminalOptions): Terminal {
  const color = stdout.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb'
  const painted = (code: number) => (text: string) => (color ? `\u001b[${code}m${text}\u001b[0m` : text)
  return {
    env,
    cwd,
    json,
    color,
    out(text) {
      if (!json) stdout.write(`${text}\n`)
    },
    err: (text) => stderr.write(`${text}\n`),
    result: (value, text) => stdout.write(json ? `${JSON.stringify(value, undefined, 2)}\n` : `${text}\n`),
    event(value) {
      if (json) stdout.write(`${JSON.stringify(value)}\n`)
    },
    table: (columns, rows) => table(columns, rows, painted(2)),
    progress: (label, total) =>
      json ? silent : stderr.isTTY === true && color ? bar(stderr, label, total) : plainProgress(stderr, label, total),
    bold: painted(1),
    dim: painted(2),
    good: painted(32),
    bad: painted(31),
  }
}

/** Columns as wide as their widest cell; what looks like a number stands to the right. */
function table(
  columns: readonly string[],
  rows: readonly (readonly string[])[],
  head: (text: string) => string,
): string {
  const widths = columns.map((name, index) => Math.max(name.length, ...rows.map((row) => (row[index] ?? '').length)))
  const right = columns.map(
    (_, index) =>
      rows.some((row) => /\d/.test(row[index] ?? '')) &&
      rows.every((row) => /^([-+$]?\d[\d.,]*\s?[%a-zµ]{0,3}|-?)$/i.test(row[index] ?? '')),
  )
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, index) =>
        right[index] === true ? cell.padStart(widths[index] ?? 0) : cell.padEnd(widths[index] ?? 0),
      )
      .join('  ')
      .trimEnd()
  return [head(line(columns)), ...rows.map(line)].join('\n')
}

const silent: Progress = { update: () => {}, end: () => {} }

function bar(stderr: TerminalOptions['stderr'], label: string, total: number): Progress {
  let drawnMs = 0
  const draw = (done: number, note: string): void => {
    const share = total > 0 ? Math.min(1, done / total) : 0
    const filled = Math.round(share * 24)
    const text = `${label} ${'█'.repeat(filled)}${'░'.repeat(24 - filled)} ${String(Math.floor(share * 100)).padStart(3)}% ${note}`
    stderr.write(`\r\u001b[2K${text.slice(0, Math.max(20, (stderr.columns ?? 100) - 1))}`)
  }
  return {
    update(done, note = '') {
      const nowMs = performance.now()
      if (nowMs - drawnMs < redrawMs && done < total) return
      drawnMs = nowMs
      draw(done, note)
    },
    end: (note = '') => stderr.write(`\r\u001b[2K${note === '' ? '' : `${label}: ${note}\n`}`),
  }
}

function plainProgress(stderr: TerminalOptions['stderr'], label: string, total: number): Progress {
  let saidMs = performance.now()
  return {
    update(done, note = '') {
      const nowMs = performance.now()
      if (nowMs - saidMs < plainEveryMs) return
      saidMs = nowMs
      stderr.write(`${label}: ${done} of ${total}${note === '' ? '' : `, ${note}`}\n`)
    },
    end(note = '') {
      if (note !== '') stderr.write(`${label}: ${note}\n`)
    },
  }
}
