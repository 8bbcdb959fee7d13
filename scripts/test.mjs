// `npm test`: the checks that hold the house together, then every test. Stops at the first that fails.
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const modules = path.join(root, 'node_modules')
const only = process.argv.slice(2)

const steps = [
  ['types', [path.join(modules, 'typescript/bin/tsc'), '-p', 'tsconfig.json']],
  ['types of the pure rings', [path.join(modules, 'typescript/bin/tsc'), '-p', 'tsconfig.pure.json']],
  ['lint and format', [path.join(modules, '@biomejs/biome/bin/biome'), 'check', '--error-on-warnings', '.']],
  ['unused code', [path.join(modules, 'knip/bin/knip.js')]],
  ['tests', [path.join(modules, 'vitest/vitest.mjs'), 'run', ...only]],
]

for (const [name, args] of only.length > 0 ? steps.slice(-1) : steps) {
  process.stdout.write(`\n== ${name}\n`)
  const result = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' })
  if (result.status !== 0) {
    process.stderr.write(`\n${name}: failed\n`)
    process.exit(result.status ?? 1)
  }
}
