import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'

const root = path.dirname(import.meta.dirname)
const read = (file: string) => JSON.parse(readFileSync(path.join(root, file), 'utf8'))

interface Locked {
  readonly hasInstallScript?: boolean
  readonly license?: string
}

// MPL-2.0 asks something only of changes to its own files; here it is a part of the test runner.
const permissive =
  /^\(?(0BSD|Apache-2\.0|BlueOak-1\.0\.0|BSD-[23]-Clause|CC0-1\.0|ISC|MIT|MIT-0|MPL-2\.0|Python-2\.0|Unlicense)\b/

describe.each(['package-lock.json', 'runtime/package-lock.json'])('what %s brings', (file) => {
  const locked = Object.entries((read(file) as { packages: Record<string, Locked> }).packages).filter(
    ([name]) => name !== '',
  )

  test('runs no script when it is installed', () => {
    expect(locked.filter(([, { hasInstallScript }]) => hasInstallScript).map(([name]) => name)).toEqual([])
  })

  test('has a permissive licence', () => {
    expect(locked.filter(([, { license }]) => !permissive.test(license ?? '')).map(([name]) => name)).toEqual([])
  })
})

test('direct dependencies are exact versions', () => {
  const { dependencies, devDependencies } = read('package.json') as Record<string, Record<string, string>>
  const loose = Object.entries({ ...dependencies, ...devDependencies }).filter(
    ([, version]) => !/^\d+\.\d+\.\d+$/.test(version),
  )
  expect(loose).toEqual([])
})
