import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Cloud } from './cloud.ts'
import type { Fault } from './cloud-log.ts'

const faults: readonly string[] = ['down', 'slow', '429', 'reset', 'stall'] satisfies Fault[]

interface Order {
  /** All of the vendor's, where none is named. */
  readonly country?: string
  readonly how?: string
  readonly forMs?: number
}

/** Takes orders for a vendor's clouds from whoever has the token: `/fail`, `/heal`, `/status`. Gives its port. */
export function startControl(vendor: string, clouds: readonly Cloud[], token: string): Promise<number> {
  const server = createServer((request, response) => {
    void bodyOf(request).then(async (body) => {
      const [status, value] =
        request.headers.authorization === `Bearer ${token}`
          ? await obey(vendor, clouds, request.url ?? '', body)
          : ([401, { message: 'wrong token' }] as const)
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(value))
    })
  })
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
}

async function obey(
  vendor: string,
  clouds: readonly Cloud[],
  path: string,
  body: string,
): Promise<readonly [status: number, value: unknown]> {
  let order: Order
  try {
    order = JSON.parse(body || '{}') as Order
  } catch {
    return [400, { message: 'the order is not JSON' }]
  }
  const { country, how, forMs } = order
  const meant = clouds.filter(({ options }) => country === undefined || options.country === country)
  if (meant.length === 0) {
    const countries = clouds.map(({ options }) => options.country).join(', ')
    return [404, { message: `${vendor} is not in ${country}; it is in ${countries}` }]
  }
  switch (path) {
    case '/status':
      break
    case '/heal':
      await Promise.all(meant.map((cloud) => cloud.heal()))
      break
    case '/fail':
      if (how === undefined || !faults.includes(how)) return [400, { message: `faults are ${faults.join(', ')}` }]
      await Promise.all(meant.map((cloud) => cloud.fail(how as Fault, forMs)))
      break
    default:
      return [404, { message: 'orders are /fail, /heal and /status' }]
  }
  return [200, clouds.map(statusOf)]
}

function statusOf({ options, port, inFlight, fault }: Cloud): object {
  return { country: options.country, port, slots: options.slots, inFlight, fault: fault ?? null }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}
