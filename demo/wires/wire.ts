import type { IncomingHttpHeaders } from 'node:http'

export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export type Operation = 'chat/completions' | 'completions' | 'embeddings'

export type Route =
  /** `model` where the path names it. */
  | { readonly kind: 'operation'; readonly operation: Operation; readonly model?: string }
  | { readonly kind: 'reply'; readonly reply: Reply }
  /** Needs the body before it can be answered. */
  | { readonly kind: 'exchange'; readonly answer: (body: string) => Reply }

/** How one vendor speaks. */
export interface Wire {
  /** Undefined where nothing is served there. */
  route(method: string, path: string, query: URLSearchParams): Route | undefined
  /** Paths that need no credentials. */
  isFree(path: string): boolean
  isAuthorized(headers: IncomingHttpHeaders): boolean
  readonly unauthorized: Reply
  readonly notFound: Reply
  tooMany(): Reply
  badRequest(message: string): Reply
  /** What may be asked for, as it is named here. */
  readonly models: readonly string[]
  unknownModel(model: string): Reply
  /** On every answer; `model` is empty where none is meant. */
  headers(country: string, model: string): Readonly<Record<string, string>>
  /** An event before the first, or nothing. */
  readonly openingEvent: string
  /** JSON members added to each choice, with a comma in front, or nothing. */
  readonly choiceExtra: string
  /** Members added to a whole answer. */
  readonly answerExtra: object
}

export function json(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Reply {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(value) }
}

export function isOperation(text: string): text is Operation {
  return text === 'chat/completions' || text === 'completions' || text === 'embeddings'
}

export function modelList(ids: readonly string[]): object {
  return {
    object: 'list',
    data: ids.map((id) => ({ id, object: 'model', created: 1_754_352_000, owned_by: 'simulation' })),
  }
}
