// Asks the registry for known vulnerabilities of what Spillway runs on (`npm audit --omit=dev`). Fails on high and
// critical ones. A registry that answers no such question (a mirror, a machine without network) is said, not failed.
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const { stdout } = spawnSync('npm', ['audit', '--omit=dev', '--json', '--fetch-retries=0'], {
  cwd: root,
  encoding: 'utf8',
  shell: process.platform === 'win32',
})
const found = countsIn(stdout)
if (found === undefined) {
  process.stdout.write('npm audit: not checked, the registry in use does not answer audits\n')
} else {
  const { high = 0, critical = 0, total = 0 } = found
  process.stdout.write(`npm audit: ${total} known vulnerabilities at run time, ${high} high, ${critical} critical\n`)
  if (high + critical > 0) process.exitCode = 1
}

/** The counts by severity; undefined where the answer is no audit report. */
function countsIn(text) {
  try {
    return JSON.parse(text).metadata?.vulnerabilities
  } catch {
    return undefined
  }
}
