// Runs a script of the project on a machine that has only Node (18 or newer) and npm: brings what is missing, once,
// then hands over. Plain JavaScript in old syntax on purpose: this is the one file that an old Node must read.
//
//   node scripts/run.mjs SCRIPT [ARG ...]
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const nodeMajorMin = 24

/** Installs what the lock file of `folder` says, unless it is there already. */
function install(folder, what) {
  const lock = readFileSync(path.join(folder, 'package-lock.json'), 'utf8')
  const modules = path.join(folder, 'node_modules')
  // A link leads to the packages of another checkout, which are not this one's to change.
  if (lstatSync(modules, { throwIfNoEntry: false })?.isSymbolicLink()) return
  const stamp = path.join(modules, '.spillway-lock')
  const isThere = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === lock
  if (isThere()) return
  const release = takeTurn(folder)
  if (isThere()) return release()
  process.stderr.write(`spillway: installing ${what} (npm ci in ${path.relative(process.cwd(), folder) || '.'}) …\n`)
  const npm = process.env.npm_execpath
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  const result = npm?.endsWith('.js')
    ? spawnSync(process.execPath, [npm, ...args], { cwd: folder, stdio: ['ignore', 2, 2] })
    : spawnSync('npm', args, { cwd: folder, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' })
  if (result.status !== 0) {
    process.stderr.write(
      `spillway: npm ci failed in ${folder}; check the network and the npm registry, then run it again\n`,
    )
    release()
    process.exit(1)
  }
  writeFileSync(stamp, lock)
  release()
}

/** Two set-ups at once would break each other's files: the second waits for the first. Gives what lets the next one in. */
function takeTurn(folder) {
  const file = path.join(folder, '.tmp', 'installing')
  mkdirSync(path.dirname(file), { recursive: true })
  let told = false
  for (;;) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' })
      return () => rmSync(file, { force: true })
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    if (!isRunning(file)) rmSync(file, { force: true })
    else {
      if (!told) process.stderr.write('spillway: another set-up is running here, waiting for it …\n')
      told = true
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
    }
  }
}

/** Whether the process that wrote its number into `file` is there. */
function isRunning(file) {
  try {
    return process.kill(Number(readFileSync(file, 'utf8')), 0)
  } catch {
    return false
  }
}

/** The Node to run on: this one where it is new enough, else the one that npm brings as a plain package. */
function nodeBinary() {
  if (Number(process.versions.node.split('.')[0]) >= nodeMajorMin) return process.execPath
  const runtime = path.join(root, 'runtime')
  install(runtime, `Node ${nodeMajorMin} or newer, as this machine has ${process.versions.node}`)
  const names = [
    `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`,
    `node-bin-${process.platform}-${process.arch}`,
  ]
  for (const name of names) {
    const binary = path.join(runtime, 'node_modules', name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
    if (existsSync(binary)) return binary
  }
  process.stderr.write(
    `spillway: there is no Node package for ${process.platform} ${process.arch}; install Node ${nodeMajorMin} or newer yourself\n`,
  )
  process.exit(1)
}

const [script, ...args] = process.argv.slice(2)
if (script === undefined) {
  process.stderr.write('usage: node scripts/run.mjs SCRIPT [ARG ...]\n')
  process.exit(2)
}
const node = nodeBinary()
install(root, 'dependencies')
const child = spawn(node, [path.resolve(root, script), ...args], {
  stdio: 'inherit',
  // Scripts that start Node themselves must find the same one first.
  env: { ...process.env, PATH: `${path.dirname(node)}${path.delimiter}${process.env.PATH ?? ''}` },
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('exit', (code, signal) => {
  if (signal !== null) process.kill(process.pid, signal)
  else process.exit(code ?? 1)
})
