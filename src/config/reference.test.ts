import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { z } from 'zod'
import { configSchema } from './schema.ts'

const root = path.join(import.meta.dirname, '../..')
const published = z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' })

describe('the configuration', () => {
  test('has a published JSON Schema that is current', async () => {
    await expect(`${JSON.stringify(published, undefined, 2)}\n`).toMatchFileSnapshot(
      path.join(root, 'docs/reference/config.schema.json'),
    )
  })

  test('is explained in the reference key by key, with the default that is in force', () => {
    const reference = readFileSync(path.join(root, 'docs/reference/config.md'), 'utf8')
    const rows = [...reference.matchAll(/^\| `([^`]+)` \| ([^|]+) \|/gm)].map(([, key, cell]) => [key, cell] as const)
    const explained = new Map(rows)
    expect(rows.length).toBe(explained.size)
    const schema = leavesOf(published as JsonSchema)
    expect([...explained.keys()].sort()).toEqual([...schema.keys()].sort())
    for (const [key, { default: value, required }] of schema) {
      const cell = explained.get(key) ?? ''
      if (value !== undefined) expect(parseYaml(cell.replaceAll('`', '')), key).toEqual(value)
      else if (required) expect(['required', 'by kind'], key).toContain(cell)
      else expect(cell, key).not.toMatch(/^`|required/)
    }
  })
})

interface JsonSchema {
  readonly description?: string
  readonly default?: unknown
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: JsonSchema | boolean
  readonly items?: JsonSchema
  readonly anyOf?: readonly JsonSchema[]
  readonly oneOf?: readonly JsonSchema[]
}

/** The keys of a schema that hold no further keys, by their path, with what stands in force without them. */
function leavesOf(
  schema: JsonSchema,
  path = '',
  required = false,
): Map<string, { default: unknown; required: boolean }> {
  const leaves = new Map<string, { default: unknown; required: boolean }>()
  const take = (inner: JsonSchema, at: string, needed: boolean) => {
    for (const [key, leaf] of leavesOf(inner, at, needed)) leaves.set(key, leaf)
  }
  // A secret is explained once for all.
  const branches = schema.description?.startsWith('Where a secret lies')
    ? []
    : [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])]
  for (const branch of branches.filter(({ properties }) => properties)) take(branch, path, required)
  for (const [key, inner] of Object.entries(schema.properties ?? {}))
    take(inner, path === '' ? key : `${path}.${key}`, schema.required?.includes(key) ?? false)
  if (typeof schema.additionalProperties === 'object') take(schema.additionalProperties, `${path}.NAME`, required)
  if (schema.items?.properties !== undefined) {
    leaves.set(path, { default: schema.default, required })
    take(schema.items, `${path}[]`, false)
  }
  if (leaves.size === 0) leaves.set(path, { default: schema.default, required })
  return leaves
}
