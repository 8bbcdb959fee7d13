import type { Finding, Path } from './yaml-text.ts'

/** Nobody names a thing like this: it is what an example has where only its reader knows the value. */
const placeholder = /^<[A-Z][A-Z -]*>$/

/** Every value and every name that was left as `<SOMETHING>`. */
export function placeholdersIn(value: unknown, path: Path = []): Finding[] {
  if (typeof value === 'string') return placeholder.test(value) ? [finding(path, value)] : []
  if (typeof value !== 'object' || value === null) return []
  const entries: [string | number, unknown][] = Array.isArray(value) ? [...value.entries()] : Object.entries(value)
  return entries.flatMap(([key, inner]) => [
    ...(typeof key === 'string' && placeholder.test(key) ? [finding([...path, key], key)] : []),
    ...placeholdersIn(inner, [...path, key]),
  ])
}

function finding(path: Path, text: string): Finding {
  return { path, message: `put the real value in place of ${text}` }
}
