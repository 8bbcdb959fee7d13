import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { Cloud } from './cloud.ts'
import { CloudLog } from './cloud-log.ts'
import type { AcceleratorName } from './performance.ts'
import { Wheel } from './wheel.ts'
import { azureWire } from './wires/azure.ts'
import { ServiceAccounts, vertexWire } from './wires/vertex.ts'
import { vllmWire } from './wires/vllm.ts'

/** One vendor's part of the demo: where it is, what it has. */
const vendors: Readonly<
  Record<
    string,
    { readonly countries: readonly string[]; readonly accelerator: AcceleratorName; readonly slots: number }
  >
> = {
  microsoft: { countries: ['US', 'GB', 'JP', 'NL', 'NO'], accelerator: 'h100', slots: 64 },
  'google-cloud': { countries: ['US', 'GB', 'JP', 'NL', 'NO'], accelerator: 'h200', slots: 64 },
  coreweave: { countries: ['NO'], accelerator: 'b200', slots: 96 },
  self: { countries: ['NL'], accelerator: 'h200-single', slots: 32 },
}

export const vendorNames = Object.keys(vendors)

export interface FleetOptions {
  readonly vendor: string
  /** Credentials and logs are written here. */
  readonly dir: string
  readonly speed: number
  readonly slotsScale: number
}

/** Starts all clouds of one vendor; each listens when it resolves. */
export async function startFleet({ vendor, dir, speed, slotsScale }: FleetOptions): Promise<readonly Cloud[]> {
  const plan = vendors[vendor]
  if (plan === undefined) throw new Error(`there is no vendor ${vendor}; there are ${vendorNames.join(', ')}`)
  const log = new CloudLog(dir, vendor)
  const wheel = new Wheel()
  const slots = Math.max(1, Math.round(plan.slots * slotsScale))
  const clouds = plan.countries.map(
    (country) => new Cloud({ cloud: vendor, country, accelerator: plan.accelerator, slots, speed, wheel, log }),
  )
  const secret = (name: string, text: string): string => {
    writeFileSync(path.join(dir, name), text, { mode: 0o600 })
    return text
  }
  if (vendor === 'microsoft') {
    const wire = azureWire(secret('azure-key', randomBytes(16).toString('hex')))
    for (const cloud of clouds) await cloud.listen(wire)
  } else if (vendor === 'google-cloud') {
    const accounts = new ServiceAccounts()
    for (const cloud of clouds) await cloud.listen(vertexWire(accounts, cloud.options.country))
    secret('google.json', JSON.stringify(accounts.file(`http://127.0.0.1:${clouds[0]?.port}/token`), undefined, 2))
  } else {
    const key = secret(`${vendor}-key`, randomBytes(16).toString('hex'))
    for (const cloud of clouds) await cloud.listen(vllmWire(key, () => ({ inFlight: cloud.inFlight, slots })))
  }
  return clouds
}
