import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import type { Command, Terminal } from '../command.ts'
import type { Said } from '../event-log/lines.ts'
import { type ReplayedRun, replayRuns } from '../event-log/replay.ts'
import { oneWord, readOptions } from '../options.ts'

export const command: Command = {
  name: 'replay-decisions',
  summary: 'decide an event log again, and show where that comes out differently',
  usage: `spillway replay-decisions FILE [--print]

Feeds every event of the log to the scheduler of this version, with the log's own seed, and compares what it says with
what was said then. A gateway writes the log where eventLog in its configuration names a file. Exit code 1 where
something else is said; equal digests mean equal decisions.

  --print         every decision, a line each`,
  async run(args, terminal) {
    const { values, positionals } = readOptions(args, { print: { type: 'boolean' } })
    const file = path.resolve(terminal.cwd, oneWord(positionals, 'the event log'))
    const runs: ReplayedRun[] = []
    for await (const run of replayRuns(
      await linesOf(file, terminal),
      values.print ? (event, nowMs, said) => terminal.out(decided(event.kind, nowMs, said)) : undefined,
    ))
      runs.push(run)
    const same = runs.every(({ difference }) => difference === undefined)
    terminal.result({ file, same, runs }, runs.map((run, at) => runText(run, at + 1, terminal)).join('\n'))
    return same ? 0 : 1
  },
}

async function linesOf(file: string, terminal: Terminal): Promise<AsyncIterable<string>> {
  const { size } = await stat(file)
  const bytes = createReadStream(file)
  const progress = terminal.progress('replaying', size)
  bytes.on('data', () => progress.update(bytes.bytesRead))
  bytes.on('close', () => progress.end())
  return createInterface({ input: bytes, crlfDelay: Number.POSITIVE_INFINITY })
}

function decided(kind: string, nowMs: number, said: readonly Said[]): string {
  return `${nowMs.toFixed(3)} ${kind}${said.map((one) => `\n  ${JSON.stringify(one)}`).join('')}`
}

function runText(
  { seed, events, actions, digest, difference }: ReplayedRun,
  number: number,
  terminal: Terminal,
): string {
  const what = `run ${number}, seed ${seed}: ${events} events, ${actions} actions, ${digest}`
  if (difference === undefined) return `${what}: ${terminal.good('the same as then')}`
  const { line, recorded, replayed } = difference
  return [
    `${what}: ${terminal.bad(`comes out differently from line ${line} on`)}`,
    `  then: ${JSON.stringify(recorded)}`,
    `  now:  ${JSON.stringify(replayed)}`,
  ].join('\n')
}
