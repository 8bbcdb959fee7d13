import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import type { TenantLimits } from '../config/config.ts'
import { nearest } from '../config/nearest.ts'
import { UsageError } from './command.ts'

/** Reads options and words; what is not known is a usage error. */
export function readOptions<O extends ParseArgsOptionsConfig>(args: readonly string[], options: O) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true })
  } catch (error) {
    throw new UsageError(optionProblem(error as NodeJS.ErrnoException, Object.keys(options)))
  }
}

function optionProblem({ code, message }: NodeJS.ErrnoException, known: readonly string[]): string {
  const [, option = ''] = /'(?:-\w, )?(--?[^ '=]+)/.exec(message) ?? []
  if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') {
    const meant = nearest(option.replace(/^-+/, ''), known)
    return `there is no option ${option}${meant === undefined ? '' : `; did you mean --${meant}?`}`
  }
  if (code === 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE')
    return `${option} takes ${/does not take/.test(message) ? 'no' : 'a'} value`
  return message
}

/** The first word, which says what to do: one of `actions`, or a usage error that names them. */
export function actionIn<A extends string>(
  words: readonly string[],
  actions: readonly A[],
): { readonly action: A; readonly rest: readonly string[] } {
  const [word, ...rest] = words
  const action = actions.find((one) => one === word)
  if (action !== undefined) return { action, rest }
  if (word === undefined) throw new UsageError(`say what to do: ${listed(actions)}`)
  const meant = nearest(word, actions)
  throw new UsageError(
    `there is no action ${word}; ${meant === undefined ? `there is ${listed(actions)}` : `did you mean ${meant}?`}`,
  )
}

function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}

/** The options that name a data directory. */
export const dataOptions = { data: { type: 'string' }, config: { type: 'string' } } as const

export const dataHelp = `  --config FILE, --data DIR   whose data (default: $SPILLWAY_CONFIG, else ./spillway.yaml, else the demo's)`

export const limitOptions = {
  'tokens-per-minute': { type: 'string' },
  'requests-per-minute': { type: 'string' },
  'concurrent-requests': { type: 'string' },
  'budget-usd-per-month': { type: 'string' },
} as const

/** The lines of `--help` on limits of `whom`. */
export function limitHelp(whom: string): string {
  return `  --tokens-per-minute N       limits of ${whom}; those not given are off
  --requests-per-minute N
  --concurrent-requests N
  --budget-usd-per-month N`
}

type LimitValues = { readonly [Name in keyof typeof limitOptions]?: string | undefined }

export function limitsIn(values: LimitValues): TenantLimits {
  const tokensPerMinute = positive('tokens-per-minute', values['tokens-per-minute'])
  const requestsPerMinute = positive('requests-per-minute', values['requests-per-minute'])
  const concurrentRequests = positive('concurrent-requests', values['concurrent-requests'])
  const budgetUsdPerMonth = positive('budget-usd-per-month', values['budget-usd-per-month'])
  return {
    ...(tokensPerMinute !== undefined && { tokensPerMinute }),
    ...(requestsPerMinute !== undefined && { requestsPerMinute }),
    ...(concurrentRequests !== undefined && { concurrentRequests }),
    ...(budgetUsdPerMonth !== undefined && { budgetUsdPerMonth }),
  }
}

/** A number above zero, or undefined where the option was not given. */
export function positive(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!Number.isFinite(value) || value <= 0)
    throw new UsageError(`--${name} takes a number above zero, not ${JSON.stringify(text)}`)
  return value
}

/** A length of time such as 500ms, 90s, 10m or 1h, in ms; undefined where the option was not given. */
export function durationMs(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? []
  const unitMs = unit === undefined ? undefined : { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[unit]
  if (unitMs === undefined || Number(number) === 0)
    throw new UsageError(`--${name} takes a time such as 90s, 10m or 1h, not ${JSON.stringify(text)}`)
  return Number(number) * unitMs
}

/** A port number, or undefined where none was given. `name` is where it was given. */
export function portNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  const port = Number(text)
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new UsageError(`${name} takes a number from 0 to 65535, not ${JSON.stringify(text)}`)
  return port
}

/** Throws where words stand that mean nothing here. */
export function noWords(words: readonly string[]): void {
  if (words[0] !== undefined) throw new UsageError(`unexpected ${JSON.stringify(words[0])}`)
}

/** The only word that is expected, or a usage error that names it. */
export function oneWord(words: readonly string[], what: string): string {
  const [word, extra] = words
  if (word === undefined) throw new UsageError(`${what} is missing`)
  if (extra !== undefined) throw new UsageError(`unexpected ${JSON.stringify(extra)}`)
  return word
}
