#!/usr/bin/env node
const nodeMajorMin = 24

if (Number(process.versions.node.split('.')[0]) < nodeMajorMin) {
  process.stderr.write(`spillway: Node ${process.versions.node} is too old; install Node ${nodeMajorMin} or newer\n`)
  process.exitCode = 1
} else {
  // Who listened may have gone: no reason to stop what runs.
  process.stderr.on('error', () => {})
  // The reader of a result may leave early, as `head` does: there is nobody left to write for.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit(0)
  })
  // Only now, since what it imports asks for that Node.
  const { run } = await import('./run.ts')
  const { env, stdout, stderr } = process
  process.exitCode = await run(process.argv.slice(2), { env, cwd: process.cwd(), stdout, stderr })
  // The command is over: what still waits for others, such as traces for a collector, is not waited for.
  setTimeout(() => process.exit(), 1_000).unref()
}
