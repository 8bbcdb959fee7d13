import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { request } from 'undici'

/** One simulated cloud in one country. */
export interface DemoCloud {
  readonly vendor: string
  readonly country: string
  readonly port: number
  readonly accelerator: string
  readonly slots: number
}

/** What the demo's `clouds.json` tells other commands: where the clouds are, and where each vendor takes faults. */
export interface DemoDirectory {
  readonly clouds: readonly DemoCloud[]
  readonly control: Readonly<Record<string, { readonly port: number; readonly token: string }>>
}

const answerMs = 2_000

export function directoryFile(dir: string): string {
  return path.join(dir, 'clouds.json')
}

/** Undefined where no demo clouds were started. */
export function readDirectory(dir: string): DemoDirectory | undefined {
  const file = directoryFile(dir)
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as DemoDirectory) : undefined
}

/** Asks one vendor's control port. Undefined where nothing listens there any more; throws what the vendor objects to. */
export async function askVendor(
  { control }: DemoDirectory,
  vendor: string,
  action: 'fail' | 'heal' | 'status',
  argument: object,
): Promise<unknown> {
  const place = control[vendor]
  if (place === undefined) throw new Error(`there is no cloud ${vendor}; there are ${Object.keys(control).join(', ')}`)
  const answer = await request(`http://127.0.0.1:${place.port}/${action}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${place.token}` },
    body: JSON.stringify(argument),
    headersTimeout: answerMs,
  }).catch(() => undefined)
  const result = (await answer?.body.json().catch(() => undefined)) as { message?: string } | undefined
  // The port may have gone to another program since, which does not know the token.
  if (answer === undefined || result === undefined || answer.statusCode === 401) return undefined
  if (answer.statusCode === 200) return result
  throw new Error(result.message ?? `the cloud ${vendor} answered with status ${answer.statusCode}`)
}

/** Whether any of the clouds of this directory is running. */
export async function areRunning(directory: DemoDirectory): Promise<boolean> {
  const answers = await Promise.all(
    Object.keys(directory.control).map((vendor) => askVendor(directory, vendor, 'status', {}).catch(() => undefined)),
  )
  return answers.some((answer) => answer !== undefined)
}
