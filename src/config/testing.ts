import { stringify } from 'yaml'
import { pathText } from './yaml-text.ts'

/** A configuration with one mistake in it, and where the mistake is. */
export interface Mutation {
  readonly what: string
  readonly text: string
  /** The path that must be named, or one above or beneath it. */
  readonly path: string
}

type Path = readonly (string | number)[]

/** Every mistake of a kind that a machine can make, at every place of a valid configuration (promise P37). */
export function mutationsOf(valid: object): Mutation[] {
  const mutations: Mutation[] = []
  const add = (what: string, path: Path, value: unknown) =>
    mutations.push({
      what: `${what} at ${pathText(path)}`,
      text: stringify(replaced(valid, path, value)),
      path: pathText(path),
    })
  for (const [path, value] of placesOf(valid)) {
    add('null', path, null)
    add('a wrong type', path, { of: { the: 'wrong type' } })
    if (typeof value === 'number') add('a huge number', path, 1e300)
    if (typeof value === 'string') add('a huge text', path, 'x'.repeat(5_000))
    if (typeof value === 'string') add('a blank text', path, '')
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) add('a list for a set', path, [])
    if (path.at(-1) === 'provider' || path.at(-1) === 'plan') add('a dangling reference', path, 'nowhere')
    if (['providers', 'models', 'plans'].includes(String(path.at(-1)))) add('an empty set', path, {})
    if (Array.isArray(value) && path.at(-1) === 'endpoints') add('an empty list', path, [])
    if (isFixedShape(path, value)) add('an unknown key', [...path, 'unknwon'], 1)
  }
  add('an unknown key', ['unknwon'], 1)
  const text = stringify(valid)
  for (const [index, line] of text.split('\n').entries()) {
    if (!/^\w+:/.test(line)) continue
    const key = line.slice(0, line.indexOf(':'))
    mutations.push({ what: `line ${index + 1} twice`, text: `${text}${key}: {}\n`, path: key })
  }
  return mutations
}

/** Sets whose keys are names can have any key; all others only those of the schema. */
function isFixedShape(path: Path, value: unknown): boolean {
  const names = path.length === 1 && ['providers', 'models', 'plans', 'tenants'].includes(String(path[0]))
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !names
}

function* placesOf(value: unknown, path: Path = []): Iterable<readonly [Path, unknown]> {
  if (path.length > 0) yield [path, value]
  if (typeof value !== 'object' || value === null) return
  for (const [key, inner] of Object.entries(value))
    yield* placesOf(inner, [...path, Array.isArray(value) ? Number(key) : key])
}

function replaced(root: object, path: Path, value: unknown): object {
  const copy = JSON.parse(JSON.stringify(root)) as object
  let container = copy as Record<string | number, unknown>
  for (const part of path.slice(0, -1)) container = container[part] as Record<string | number, unknown>
  container[path.at(-1) as string | number] = value
  return copy
}
