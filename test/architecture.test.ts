import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'

const root = path.dirname(import.meta.dirname)
/** A folder imports from rings below its own and from itself; never sideways, never up. */
const rings: Record<string, number> = {
  'src/core': 0,
  'src/config': 1,
  'src/planner': 1,
  'src/register': 1,
  'src/simulator': 1,
  'src/adapters': 2,
  'src/gateway': 3,
  'src/admin': 3,
  'src/cli': 4,
}
const placeOf = (file: string) => Object.keys(rings).find((folder) => file.startsWith(`${folder}/`))
const filesIn = (folder: string) =>
  readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => path.posix.join(folder, name.split(path.sep).join('/')))
const importsOf = (text: string) =>
  [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] as string)
/** Without comments: what they say is free. */
const codeOf = (text: string) => text.replace(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*$/gm, '')
const shipped = filesIn('src').filter((file) => !/\.(test|contract)\.ts$/.test(file))

describe('the rings', () => {
  test.each(shipped)('%s imports inward only', (file) => {
    const own = placeOf(file)
    expect(own, 'every source folder has a ring').toBeDefined()
    for (const target of importsOf(readFileSync(path.join(root, file), 'utf8'))) {
      if (!target.startsWith('.')) {
        const pure = rings[own as string] as number
        if (pure === 0) expect.fail(`${file} imports ${target}: core has no dependency`)
        if (pure === 1) expect(['zod', 'yaml'], `${file} imports ${target}`).toContain(target)
        continue
      }
      const place = placeOf(path.posix.join(path.posix.dirname(file), target))
      expect(place, `${file} imports ${target}, which is in no ring`).toBeDefined()
      if (place !== own)
        expect(rings[place as string], `${file} imports ${target}`).toBeLessThan(rings[own as string] as number)
    }
  })

  test.each(shipped.filter((file) => (rings[placeOf(file) as string] as number) < 2))(
    '%s never asks for time or chance',
    (file) => {
      const text = codeOf(readFileSync(path.join(root, file), 'utf8'))
      expect(text).not.toMatch(/Date\.now|new Date\(\)|Math\.random|performance\.now/)
      if (file.startsWith('src/core/')) expect(text).not.toMatch(/Math\.(exp|log|log2|log10|pow|sin|cos|tan)\b|\*\*/)
    },
  )

  test('the demo clouds know nothing of src, and src nothing of them', () => {
    for (const file of filesIn('demo')) {
      for (const target of importsOf(readFileSync(path.join(root, file), 'utf8'))) {
        if (!target.startsWith('.')) continue
        const resolved = path.posix.join(path.posix.dirname(file), target)
        expect(resolved, `${file} imports ${target}`).toMatch(/^demo\//)
      }
    }
  })
})
