import type { z } from 'zod'
import { nearest } from './nearest.ts'
import { configSchema } from './schema.ts'
import type { Finding, Path } from './yaml-text.ts'

/**
 * What one of Zod's issues says to the person who wrote the file: each mistake at its own place, with what to do.
 * `schema`: the one that found it.
 */
export function findingsOf(issue: z.core.$ZodIssue, root: unknown, schema: z.ZodType = configSchema): Finding[] {
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(issue.path, root, schema)
    return issue.keys.map((key) => {
      const meant = nearest(key, known)
      return {
        path: [...issue.path, key],
        message: `this key is not known${meant === undefined ? '' : `; did you mean ${meant}?`}`,
      }
    })
  }
  if (issue.code === 'invalid_union') {
    // In a list it is the items that are wrong, each in its own way.
    const items = issue.errors.flat().filter(({ path }) => path.length > 0 && Array.isArray(at(root, issue.path)))
    if (items.length > 0)
      return items.map(({ path, message }) => ({ path: [...issue.path, ...path], message: lowerFirst(message) }))
    // The schema's own text: it says more than the branches do and, for secrets, not what was written.
    return [{ path: issue.path, message: issue.message }]
  }
  if (issue.code === 'invalid_key')
    return [
      {
        path: issue.path,
        message: `this name cannot be used: ${issue.issues.map(({ message }) => message).join('; ')}`,
      },
    ]
  const found = at(root, issue.path)
  if (issue.code === 'invalid_type' && found === undefined)
    return [{ path: issue.path, message: 'this key is missing' }]
  if (issue.code === 'invalid_type' && found === null) return [{ path: issue.path, message: 'this key has no value' }]
  return [{ path: issue.path, message: lowerFirst(issue.message) }]
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}

function at(root: unknown, path: Path): unknown {
  let value = root
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Record<PropertyKey, unknown>)[part]
  }
  return value
}

/** The keys that may stand at a path: found by walking the schema the way the value does. */
function knownKeys(path: Path, root: unknown, top: z.ZodType): string[] {
  let schema: unknown = top
  let value = root
  for (const part of path) {
    schema = child(unwrapped(schema, value), part)
    value = at(value, [part])
  }
  const last = unwrapped(schema, value)
  return last !== undefined && 'shape' in last ? Object.keys(last.shape as object) : []
}

interface SchemaParts {
  shape?: Record<string, unknown>
  element?: unknown
  valueType?: unknown
  options?: readonly unknown[]
  def: { innerType?: unknown }
}

function unwrapped(schema: unknown, value: unknown): SchemaParts | undefined {
  let current = schema as SchemaParts | undefined
  while (current !== undefined) {
    if (current.def.innerType !== undefined) current = current.def.innerType as SchemaParts
    else if (current.options !== undefined) {
      const kind = at(value, ['kind'])
      const options = current.options as readonly SchemaParts[]
      current =
        options.find((option) => (option.shape?.['kind'] as { value?: unknown } | undefined)?.value === kind) ??
        options.find((option) => option.shape !== undefined)
    } else return current
  }
  return undefined
}

function child(schema: SchemaParts | undefined, part: PropertyKey): unknown {
  if (schema === undefined) return undefined
  return schema.shape?.[String(part)] ?? schema.valueType ?? schema.element
}
