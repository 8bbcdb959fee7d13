import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { commands } from '../src/cli/commands/index.ts'
import { parseConfig } from '../src/config/parse.ts'

const root = path.dirname(import.meta.dirname)
const read = (file: string) => readFileSync(path.join(root, file), 'utf8')
const pages = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => path.posix.join('docs', name.split(path.sep).join('/'))),
]
const check = (text: string) => parseConfig(text, { fileDir: '/', joinPath: (_dir, file) => file })
const yamlIn = (page: string) => [...read(page).matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => text)

describe.each(pages)('%s', (page) => {
  test('leads only to what is there', () => {
    for (const [, target = ''] of read(page).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
      if (/^https?:/.test(target)) continue
      expect(existsSync(path.join(root, path.dirname(page), target)), `${page} leads to ${target}`).toBe(true)
    }
  })

  test('names commands and options that there are', () => {
    const known = new Map(commands.map(({ name, usage }) => [name, usage]))
    for (const [, words = ''] of read(page).matchAll(/(?:^|[`$] ?|run |\()spillway (?:-- )?([a-z][^`\n#…)]*)/gm)) {
      const [name = ''] = words.split(' ')
      expect([...known.keys()], words).toContain(name)
      for (const [option] of words.matchAll(/--[a-z][a-z-]+/g))
        if (!['--json', '--help'].includes(option)) expect(known.get(name), words).toContain(option)
    }
  })
})

describe('what stands in the pages to be copied', () => {
  test('the configuration of the README is valid as it stands', () => {
    const [yaml = ''] = yamlIn('README.md')
    expect(check(yaml)).toMatchObject({ kind: 'valid', warnings: [] })
  })

  test('the providers and the model of the page on connecting a cloud are valid', () => {
    const blocks = yamlIn('docs/how-to/connect-a-cloud.md')
    const models = blocks.filter((text) => text.startsWith('models:'))
    const providers = blocks.filter((text) => !text.startsWith('models:'))
    expect([models.length, providers.length]).toEqual([1, 4])
    const text = `location: { country: NL, subProcessor: self }\nproviders:\n${providers.map((line) => `  ${line}`).join('')}${models[0]}`
    expect(check(text)).toMatchObject({ kind: 'valid' })
  })

  test('the page on the journal has every kind of record', () => {
    const kinds = [...read('src/adapters/storage/journal-record.ts').matchAll(/readonly kind: '(\w+)'/g)]
    const described = [...read('docs/reference/journal.md').matchAll(/^\| `(\w+)` \|/gm)]
    const names = kinds.map(([, kind]) => kind)
    expect(names.length).toBeGreaterThan(4)
    expect(described.map(([, kind]) => kind).filter((kind) => names.includes(kind))).toEqual(names)
  })
})
