import type { Config, TrafficLimits } from '../config/config.ts'
import type { Setting } from './setting.ts'

export interface ReloaderOptions {
  /** What the process was started with. */
  readonly started: Pick<Setting, 'config' | 'fingerprint'>
  /** Reads all of it again; throws where any of it is not good. */
  readonly read: () => Promise<Setting>
  /** Puts it in force, all of it within one turn of the event loop, or throws and leaves all as it was. */
  readonly apply: (setting: Setting) => void
  /** Lines for the person who runs this. */
  readonly say: (line: string) => void
}

/** Puts new configurations in force, one after the other. One that is not good changes nothing. */
export class Reloader {
  readonly #options: ReloaderOptions
  #running: Promise<unknown> = Promise.resolve()
  #waiting: Promise<boolean> | undefined
  #asked = false
  #inForce: string

  constructor(options: ReloaderOptions) {
    this.#options = options
    this.#inForce = options.started.fingerprint
  }

  /** Resolves with whether what is there now is in force. Asked for many times while one runs, it runs once more. */
  reload(): Promise<boolean> {
    this.#asked = true
    return this.lookAgain()
  }

  /** The same, but passes over in silence what is in force already. */
  lookAgain(): Promise<boolean> {
    this.#waiting ??= this.#running.then(() => {
      this.#waiting = undefined
      const running = this.#once()
      this.#running = running
      return running
    })
    return this.#waiting
  }

  async #once(): Promise<boolean> {
    const { read, apply, say } = this.#options
    const started = this.#options.started.config
    const asked = this.#asked
    this.#asked = false
    let setting: Setting | undefined
    try {
      setting = await read()
      if (!asked && setting.fingerprint === this.#inForce) {
        setting.providers.discard()
        return true
      }
      const fixed = changedForGood(started, setting.config)
      if (fixed !== undefined) throw new Error(`${fixed} cannot change while running; restart to change it`)
      apply(setting)
      this.#inForce = setting.fingerprint
    } catch (error) {
      setting?.providers.discard()
      say(`warning: the new configuration is not taken, the last good one stays: ${(error as Error).message}`)
      return false
    }
    for (const warning of setting.warnings) say(`warning: ${warning}`)
    const later = changedLater(started, setting.config)
    if (later.length > 0) say(`warning: ${later.join(', ')} will change with the next start only`)
    say('the configuration was read again and is in force')
    return true
  }
}

/** What a running process is known by: another value means another process. */
function changedForGood(started: Config, next: Config): string | undefined {
  if (started.dataDir !== next.dataDir) return 'dataDir'
  if (differ(started.listen, next.listen)) return 'listen'
  // A listener speaks either TLS or not.
  if ((started.tls === undefined) !== (next.tls === undefined)) return 'tls, from none to some or back,'
  return undefined
}

const laterKeys = ['metrics', 'log', 'telemetry', 'journal', 'eventLog'] as const
const laterLimits = ['queueLengthMax', 'attemptsMax'] as const satisfies readonly (keyof TrafficLimits)[]

/** What is read at start only. */
function changedLater(started: Config, next: Config): string[] {
  return [
    ...laterKeys.filter((key) => differ(started[key], next[key])),
    ...laterLimits.filter((key) => started.limits[key] !== next.limits[key]).map((key) => `limits.${key}`),
  ]
}

function differ(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) !== JSON.stringify(b)
}
