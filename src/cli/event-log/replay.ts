import { createHash, type Hash } from 'node:crypto'
import type { SchedulerEvent } from '../../core/events.ts'
import { seededRandom } from '../../core/random.ts'
import { Scheduler } from '../../core/scheduler.ts'
import {
  EventDecoder,
  type EventLine,
  eventLogFormat,
  type RunLine,
  type Said,
  type SaidLine,
  saidOf,
  type WordLine,
} from './lines.ts'

/** One run of a gateway, decided again. */
export interface ReplayedRun {
  readonly seed: number
  readonly events: number
  readonly actions: number
  /** Over all that was said again: equal digests, equal decisions. */
  readonly digest: string
  /** The first event to which something else is said than the log has. */
  readonly difference?: Difference
}

export interface Difference {
  /** Of the event, in the file, from 1. */
  readonly line: number
  readonly recorded: readonly Said[]
  /** What is said now, or the error that is thrown. */
  readonly replayed: readonly Said[] | string
}

/** Called for each event with what is said to it now. */
export type OnDecided = (event: SchedulerEvent, nowMs: number, said: readonly Said[]) => void

type Line = RunLine | WordLine | EventLine | SaidLine

/**
 * Feeds a log's events to a new scheduler, run by run. Throws, naming the line, where the log cannot be read; a last
 * line that is not whole is left out, as a killed process leaves one.
 */
export async function* replayRuns(lines: AsyncIterable<string>, onDecided?: OnDecided): AsyncGenerator<ReplayedRun> {
  let run: Run | undefined
  let number = 0
  let broken: string | undefined
  for await (const text of lines) {
    number++
    if (broken !== undefined) throw new Error(broken)
    const line = parsed(text)
    if (line === undefined) {
      broken = `line ${number} is not JSON`
      continue
    }
    if ('eventLog' in line) {
      if (run !== undefined) yield run.end()
      if (line.eventLog !== eventLogFormat)
        throw new Error(`line ${number}: a log of format ${line.eventLog}, of which this version knows nothing`)
      run = new Run(line, onDecided)
    } else if (run === undefined) throw new Error(`line ${number}: the log does not begin with a run`)
    else run.take(line, number)
  }
  if (run === undefined) throw new Error('there is no run in it')
  yield run.end()
}

class Run {
  readonly #seed: number
  readonly #scheduler: Scheduler
  readonly #onDecided: OnDecided | undefined
  readonly #decoder = new EventDecoder()
  readonly #digest: Hash = createHash('sha256')
  #events = 0
  #actions = 0
  /** What was said to the last event, until the log's own word on it has been seen. */
  #open: { readonly line: number; readonly replayed: readonly Said[] | string } | undefined
  #difference: Difference | undefined

  constructor({ seed, policy }: RunLine, onDecided: OnDecided | undefined) {
    this.#seed = seed
    this.#scheduler = new Scheduler(policy, seededRandom(seed))
    this.#onDecided = onDecided
  }

  take(line: WordLine | EventLine | SaidLine, number: number): void {
    // What follows a difference follows from it.
    if (this.#difference !== undefined) return
    if ('word' in line) return this.#decoder.learn(line)
    if ('said' in line) return this.#compare(line.said)
    this.#compare([])
    if (this.#difference === undefined) this.#decide(line, number)
  }

  end(): ReplayedRun {
    // The log's word on the last event may be missing: the process was killed between the two.
    if (typeof this.#open?.replayed === 'string') this.#compare([])
    const { length } = 'sha256:'
    return {
      seed: this.#seed,
      events: this.#events,
      actions: this.#actions,
      digest: `sha256:${this.#digest.digest('hex')}`.slice(0, length + 32),
      ...(this.#difference !== undefined && { difference: this.#difference }),
    }
  }

  #decide(line: EventLine, number: number): void {
    const event = this.#decoder.event(line)
    this.#events++
    try {
      const said = this.#scheduler.handle(event, line.nowMs).map(saidOf)
      this.#actions += said.length
      this.#digest.update(JSON.stringify(said))
      this.#onDecided?.(event, line.nowMs, said)
      this.#open = { line: number, replayed: said }
    } catch (error) {
      this.#open = { line: number, replayed: (error as Error).message }
    }
  }

  #compare(recorded: readonly Said[]): void {
    const open = this.#open
    this.#open = undefined
    if (open !== undefined && JSON.stringify(open.replayed) !== JSON.stringify(recorded))
      this.#difference = { ...open, recorded }
  }
}

function parsed(text: string): Line | undefined {
  try {
    return JSON.parse(text) as Line
  } catch {
    return undefined
  }
}
