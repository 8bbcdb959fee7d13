// One vendor's clouds as a process of their own: `node demo/main.ts --vendor NAME --dir DIR [--speed N] [--slots-scale X]`.
// Says where it listens in one line of JSON, takes faults on a control port, and ends when its standard input does, so
// that it never outlives who started it.
import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import { startControl } from './control.ts'
import { startFleet } from './fleet.ts'

const { values } = parseArgs({
  options: {
    vendor: { type: 'string' },
    dir: { type: 'string' },
    speed: { type: 'string' },
    'slots-scale': { type: 'string' },
  },
})
const { vendor = '', dir = '.' } = values
const clouds = await startFleet({
  vendor,
  dir,
  speed: Number(values.speed ?? 1),
  slotsScale: Number(values['slots-scale'] ?? 1),
})
const token = randomBytes(16).toString('hex')
const port = await startControl(vendor, clouds, token)

process.stdout.write(
  `${JSON.stringify({
    vendor,
    clouds: clouds.map(({ options, port: own, accelerator }) => ({
      country: options.country,
      port: own,
      accelerator,
      slots: options.slots,
    })),
    control: { port, token, pid: process.pid },
  })}\n`,
)

/** What is being answered is broken off, and written down as such. */
const end = () => void Promise.all(clouds.map((cloud) => cloud.close())).then(() => process.exit(0))
process.stdin.resume()
process.stdin.on('end', end)
process.on('SIGTERM', end)
// Ctrl-C in a terminal reaches every process of the group: who started this one decides.
process.on('SIGINT', () => {})
