// One vendor's clouds as a process of their own: `node demo/main.ts --vendor NAME --dir DIR [--speed N] [--slots-scale X]`.
// Says where it listens in one line of JSON, takes faults on a control port, and ends when its standard input does, so
// that it never outlives who started it.
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import type { Fault } from './cloud-log.ts'
import { startFleet } from './fleet.ts'

const faults: readonly string[] = ['down', 'slow', '429', 'reset', 'stall'] satisfies Fault[]

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
const control = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const reply = (status: number, value: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(value))
    }
    if (request.headers.authorization !== `Bearer ${token}`) return reply(401, { message: 'wrong token' })
    const { country, how, forMs } = JSON.parse(Buffer.concat(chunks).toString() || '{}') as {
      country?: string
      how?: string
      forMs?: number
    }
    const meant = clouds.filter((cloud) => country === undefined || cloud.options.country === country)
    const status = () =>
      clouds.map((cloud) => ({
        country: cloud.options.country,
        port: cloud.port,
        slots: cloud.options.slots,
        inFlight: cloud.inFlight,
        fault: cloud.fault ?? null,
      }))
    if (meant.length === 0)
      return reply(404, {
        message: `${vendor} is not in ${country}; it is in ${clouds.map((cloud) => cloud.options.country).join(', ')}`,
      })
    if (request.url === '/status') return reply(200, status())
    const all = (work: (cloud: (typeof clouds)[number]) => Promise<void>) =>
      void Promise.all(meant.map(work)).then(() => reply(200, status()))
    if (request.url === '/heal') return all((cloud) => cloud.heal())
    if (request.url !== '/fail' || how === undefined || !faults.includes(how))
      return reply(400, { message: `faults are ${faults.join(', ')}` })
    return all((cloud) => cloud.fail(how as Fault, forMs))
  })
})
await new Promise<void>((resolve) => control.listen(0, '127.0.0.1', resolve))

process.stdout.write(
  `${JSON.stringify({
    vendor,
    pid: process.pid,
    clouds: clouds.map((cloud) => ({
      country: cloud.options.country,
      port: cloud.port,
      accelerator: cloud.accelerator,
      slots: cloud.options.slots,
    })),
    control: { port: (control.address() as AddressInfo).port, token },
  })}\n`,
)

process.stdin.resume()
process.stdin.on('end', () => void Promise.all(clouds.map((cloud) => cloud.close())).then(() => process.exit(0)))
process.on('SIGINT', () => {})
