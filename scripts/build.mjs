// Makes dist/ for `npm pack`: JavaScript by erasing the types, since Node does not strip types under node_modules.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const dist = path.join(root, 'dist')
rmSync(dist, { recursive: true, force: true })

/** `./x.ts` in an import or a dynamic import becomes `./x.js`. */
function toJavaScript(source) {
  return (
    stripTypeScriptTypes(source, { mode: 'strip' })
      .replace(/(\bfrom\s*|\bimport\s*\(\s*|\bimport\s+|new URL\(\s*)(['"])(\.{1,2}\/[^'"]+)\.ts\2/g, '$1$2$3.js$2')
      // What was a type leaves blanks behind.
      .replace(/[ \t]+$/gm, '')
      .replace(/\n{3,}/g, '\n\n')
  )
}

function build(from, to) {
  mkdirSync(to, { recursive: true })
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const source = path.join(from, entry.name)
    if (entry.isDirectory()) build(source, path.join(to, entry.name))
    else if (/(\.(test|contract)|(^|\/)testing)\.ts$/.test(entry.name)) continue
    else if (entry.name.endsWith('.ts')) {
      const code = toJavaScript(readFileSync(source, 'utf8'))
      if (/^\s*$/.test(code.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '').replace(/export\s*\{\s*\}/, ''))) continue
      writeFileSync(path.join(to, entry.name.replace(/\.ts$/, '.js')), code)
    } else cpSync(source, path.join(to, entry.name))
  }
}

for (const folder of ['src', 'demo']) build(path.join(root, folder), path.join(dist, folder))
// Beside the code as in a clone, for `spillway --version`.
const { name, version, type } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
writeFileSync(path.join(dist, 'package.json'), `${JSON.stringify({ name, version, type })}\n`)
// Traces that `spillway replay NAME` finds by name, and scenarios to simulate.
for (const folder of ['traces', 'gpu-shortage', 'incidents'])
  cpSync(path.join(root, 'examples', folder), path.join(dist, 'examples', folder), { recursive: true })
