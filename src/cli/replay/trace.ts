import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'

/** One recorded request. */
export interface TraceRequest {
  /** From the first request of the trace. */
  readonly atMs: number
  readonly inputTokens: number
  readonly outputTokens: number
  /** Blocks of the prompt by identity, where the trace has them: equal leading ones mean an equal beginning. */
  readonly blocks: readonly number[]
}

/** Tokens of one of Mooncake's prompt blocks. */
export const blockTokens = 512

const examplesDir = fileURLToPath(new URL('../../../examples/traces', import.meta.url))
const problemsShown = 5

/**
 * Reads a trace by path, or one of the project's own by name, in the order of arrival. Throws with the lines that are
 * wrong: nothing is half read.
 */
export function readTrace(name: string, cwd: string): readonly TraceRequest[] {
  const file = findTrace(name, cwd)
  const lines = textOf(file).split(/\r?\n/)
  const read = formatOf(lines[0] ?? '')
  if (read === undefined) {
    throw new Error(
      `${file} is not a trace that is known: the first line must be a header of Azure's or BurstGPT's, or a JSON object of Mooncake`,
    )
  }
  const problems: string[] = []
  const requests: TraceRequest[] = []
  lines.forEach((line, index) => {
    if (line.trim() === '' || (index === 0 && read.header)) return
    const request = read.row(line)
    if (typeof request === 'string') problems.push(`line ${index + 1}: ${request}`)
    else requests.push(request)
  })
  if (problems.length > 0) {
    const more = problems.length > problemsShown ? `; and ${problems.length - problemsShown} more` : ''
    throw new Error(`${file} has lines that cannot be used: ${problems.slice(0, problemsShown).join('; ')}${more}`)
  }
  if (requests.length === 0) throw new Error(`${file} has no requests`)
  requests.sort((a, b) => a.atMs - b.atMs)
  const firstMs = requests[0]?.atMs ?? 0
  return requests.map((request) => ({ ...request, atMs: request.atMs - firstMs }))
}

function findTrace(name: string, cwd: string): string {
  const candidates = [
    path.resolve(cwd, name),
    ...['', '.csv.gz', '.csv', '.jsonl', '.jsonl.gz'].map((ending) => path.join(examplesDir, `${name}${ending}`)),
  ]
  const file = candidates.find((candidate) => existsSync(candidate))
  if (file === undefined)
    throw new Error(
      `there is no trace ${name}; name a file, or one of azure-2023-conversation (or -40m), azure-2023-code-40m, burstgpt-head, mooncake-head, mooncake-conversation-40m`,
    )
  return file
}

function textOf(file: string): string {
  try {
    const bytes = readFileSync(file)
    return (bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes).toString('utf8').replace(/^\uFEFF/, '')
  } catch (error) {
    throw new Error(`${file} cannot be read: ${(error as Error).message}`)
  }
}

interface Format {
  readonly header: boolean
  /** The request, or what is wrong with the line. */
  row(line: string): TraceRequest | string
}

function formatOf(first: string): Format | undefined {
  if (/^TIMESTAMP,ContextTokens,GeneratedTokens/i.test(first)) return { header: true, row: azureRow }
  if (/^Timestamp,Model,Request tokens,Response tokens/i.test(first)) return { header: true, row: burstGptRow }
  if (first.trimStart().startsWith('{')) return { header: false, row: mooncakeRow }
  return undefined
}

function azureRow(line: string): TraceRequest | string {
  const [time = '', input = '', output = ''] = line.split(',')
  // Up to seven digits after the second, more than a date keeps; the traces of 2024 name their zone, those of 2023 not.
  const [, whole, fraction] = /^(\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2})(\.\d+)?(?:\+00:00)?$/.exec(time) ?? []
  if (whole === undefined) return `${JSON.stringify(time)} is not a time`
  return checked(Date.parse(`${whole.replace(' ', 'T')}Z`) + Number(fraction ?? 0) * 1_000, input, output, [])
}

function burstGptRow(line: string): TraceRequest | string {
  const [time = '', , input = '', output = ''] = line.split(',')
  return checked(time.trim() === '' ? Number.NaN : Number(time) * 1_000, input, output, [])
}

function mooncakeRow(line: string): TraceRequest | string {
  let row: { timestamp?: unknown; input_length?: unknown; output_length?: unknown; hash_ids?: unknown }
  try {
    row = JSON.parse(line) as typeof row
  } catch {
    return 'it is not JSON'
  }
  const blocks =
    Array.isArray(row.hash_ids) && row.hash_ids.every((id) => Number.isInteger(id)) ? (row.hash_ids as number[]) : []
  return checked(
    typeof row.timestamp === 'number' ? row.timestamp : Number.NaN,
    String(row.input_length),
    String(row.output_length),
    blocks,
  )
}

function checked(atMs: number, input: string, output: string, blocks: readonly number[]): TraceRequest | string {
  const inputTokens = Number(input)
  const outputTokens = Number(output)
  if (!Number.isFinite(atMs)) return 'its time is not a number'
  if (input === '' || !Number.isInteger(inputTokens) || inputTokens < 0)
    return `${JSON.stringify(input)} is not a number of input tokens`
  if (output === '' || !Number.isInteger(outputTokens) || outputTokens < 0)
    return `${JSON.stringify(output)} is not a number of output tokens`
  return { atMs, inputTokens, outputTokens, blocks }
}
