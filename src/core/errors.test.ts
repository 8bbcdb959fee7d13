import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { errorCodes } from './errors.ts'

test('the reference page and the table of codes say the same', () => {
  const page = readFileSync(path.join(import.meta.dirname, '../../docs/reference/errors.md'), 'utf8')
  const rows = [...page.matchAll(/^\| `(\w+)` \| (\d+) \| `(\w+)` \| (yes|no) \| .+ \|$/gm)]
  const fromPage = Object.fromEntries(
    rows.map(([, code, status, type, retry]) => [code, { status: Number(status), type, retry: retry === 'yes' }]),
  )
  expect(fromPage).toEqual(errorCodes)
})
