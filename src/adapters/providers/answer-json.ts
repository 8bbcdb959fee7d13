import { isUtf8 } from 'node:buffer'
import { answerJsonLimits, type JsonMember, JsonProblem, scanJson } from '../../core/json-scan.ts'

type Fields = Readonly<Record<string, unknown>>

/** Of an error that stands where an answer should, so much is read. */
const errorBytesMax = 1024 * 1024

export type WholeAnswer =
  /** The members that are looked at, as JSON; `null` where they are missing. `choices` only where they are asked for. */
  | { readonly kind: 'answer'; readonly usage: string; readonly choices: () => string }
  | { readonly kind: 'error'; readonly error: Fields }
  | { readonly kind: 'broken' }

/** Checks that a body is one answer of the OpenAI dialect: valid JSON with what was asked for in it, or an error. */
export function wholeAnswer(body: Buffer): WholeAnswer {
  const scan = scanJson(body, answerJsonLimits)
  if (scan instanceof JsonProblem || !scan.isObject || !isUtf8(body)) return { kind: 'broken' }
  const find = (name: string) => scan.members.find(({ key }) => key === name)
  const text = (member: JsonMember | undefined) =>
    member === undefined ? 'null' : body.toString('utf8', member.valueStart, member.valueEnd)
  const choices = find('choices')
  if (choices !== undefined || find('data') !== undefined)
    return { kind: 'answer', usage: text(find('usage')), choices: () => text(choices) }
  const error = errorIn(parsedObject(body.toString('utf8', 0, errorBytesMax)))
  return error === undefined ? { kind: 'broken' } : { kind: 'error', error }
}

/** Undefined where the text is not the JSON of an object. */
export function parsedObject(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Fields) : undefined
  } catch {
    return undefined
  }
}

/** The error that an answer is instead of being one: OpenAI's, or the flat one of older engines. */
export function errorIn(answer: Fields | undefined): Fields | undefined {
  if (answer === undefined || 'choices' in answer) return undefined
  const { error } = answer
  if (typeof error === 'object' && error !== null) return error as Fields
  if (typeof error === 'string') return { message: error }
  return answer['object'] === 'error' ? answer : undefined
}

/** Does an event carry no choice? */
export function hasNoChoices(event: Fields | undefined): boolean {
  const choices = event?.['choices']
  return choices === undefined || (Array.isArray(choices) && choices.length === 0)
}
