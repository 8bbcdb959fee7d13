import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { request } from 'undici'
import { type Command, type Terminal, UsageError } from '../command.ts'
import { type DemoDirectory, startDemoClouds } from '../demo-process.ts'
import { oneWord, positive, readOptions } from '../options.ts'

const faults = ['down', 'slow', '429', 'reset', 'stall']

export const command: Command = {
  name: 'demo',
  summary: 'simulated clouds on this machine, and faults for them',
  usage: `spillway demo clouds [--speed N] [--dir DIR]
spillway demo fail VENDOR/COUNTRY [--how ${faults.join('|')}] [--for 60s] [--dir DIR]
spillway demo heal [VENDOR/COUNTRY] [--dir DIR]
spillway demo status [--dir DIR]

clouds runs the simulated clouds alone until Ctrl-C; spillway up --demo runs them with a gateway in front.
fail takes a cloud down (the default), makes it ten times slower, lets it refuse everything, break every connection, or
fall silent. Without --for it stays so until heal.

  --dir DIR       where the clouds keep their files (default: ./data/demo)
  --speed N       all their times are divided by N`,
  async run(args, terminal) {
    const { values, positionals } = readOptions(args, {
      dir: { type: 'string' },
      speed: { type: 'string' },
      how: { type: 'string' },
      for: { type: 'string' },
    })
    const dir = path.resolve(terminal.cwd, values.dir ?? 'data/demo')
    const [action, ...words] = positionals
    switch (action) {
      case 'clouds':
        return runClouds(dir, positive('speed', values.speed) ?? 1, terminal)
      case 'fail': {
        const how = values.how ?? 'down'
        if (!faults.includes(how)) throw new UsageError(`--how takes ${faults.join(', ')}, not ${JSON.stringify(how)}`)
        const [vendor, country] = placeIn(oneWord(words, 'VENDOR/COUNTRY'))
        const forMs = durationMs(values.for)
        await tell(dir, vendor, '/fail', { country, how, ...(forMs !== undefined && { forMs }) })
        const until = forMs === undefined ? `until: spillway demo heal ${vendor}/${country}` : `for ${forMs / 1000} s`
        terminal.result(
          { vendor, country, how, forMs: forMs ?? null },
          `${vendor} in ${country} is ${described[how] ?? how}, ${until}`,
        )
        return 0
      }
      case 'heal': {
        const [word] = words
        const [vendor, country] = word === undefined ? [undefined, undefined] : placeIn(word)
        for (const name of Object.keys(directory(dir).control)) {
          if (vendor === undefined || name === vendor)
            await tell(dir, name, '/heal', country === undefined ? {} : { country })
        }
        terminal.result({ healed: word ?? 'all' }, `${word ?? 'every cloud'} is well again`)
        return 0
      }
      case 'status': {
        const rows: string[][] = []
        const all: unknown[] = []
        for (const vendor of Object.keys(directory(dir).control)) {
          for (const cloud of (await tell(dir, vendor, '/status', {})) as CloudStatus[]) {
            all.push({ vendor, ...cloud })
            rows.push([
              vendor,
              cloud.country,
              String(cloud.port),
              `${cloud.inFlight} of ${cloud.slots}`,
              cloud.fault ?? 'well',
            ])
          }
        }
        terminal.result(all, terminal.table(['cloud', 'country', 'port', 'slots in use', 'state'], rows))
        return 0
      }
      default:
        throw new UsageError(
          action === undefined ? 'say what to do: clouds, fail, heal or status' : `there is no action ${action}`,
        )
    }
  },
}

const described: Readonly<Record<string, string>> = {
  down: 'switched off',
  slow: 'ten times slower',
  '429': 'refusing everything',
  reset: 'breaking every connection',
  stall: 'silent',
}

interface CloudStatus {
  readonly country: string
  readonly port: number
  readonly slots: number
  readonly inFlight: number
  readonly fault: string | null
}

async function runClouds(dir: string, speed: number, terminal: Terminal): Promise<number> {
  const demo = await startDemoClouds({ dir, speed })
  const rows = demo.clouds.map(({ vendor, country, port, accelerator, slots }) => [
    vendor,
    country,
    `http://127.0.0.1:${port}`,
    accelerator,
    String(slots),
  ])
  terminal.result(
    demo.clouds,
    `${terminal.table(['cloud', 'country', 'address', 'accelerator', 'slots'], rows)}\n\nAll of this is simulated. Keys and logs are in ${dir}; Ctrl-C ends it.`,
  )
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
  })
  await demo.stop()
  return 0
}

function placeIn(word: string): [vendor: string, country: string] {
  const [vendor, country, extra] = word.split('/')
  if (!vendor || !country || extra !== undefined)
    throw new UsageError(`a cloud is named as VENDOR/COUNTRY, such as google-cloud/NL, not ${JSON.stringify(word)}`)
  return [vendor, country.toUpperCase()]
}

function durationMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text) ?? []
  if (number === undefined) throw new UsageError(`--for takes a time such as 60s or 5m, not ${JSON.stringify(text)}`)
  return Number(number) * (unit === 'ms' ? 1 : unit === 's' ? 1_000 : 60_000)
}

function directory(dir: string): DemoDirectory {
  const file = path.join(dir, 'clouds.json')
  if (!existsSync(file)) throw new Error(`no demo clouds were started in ${dir}; start them with: spillway up --demo`)
  return JSON.parse(readFileSync(file, 'utf8')) as DemoDirectory
}

async function tell(dir: string, vendor: string, action: string, body: object): Promise<unknown> {
  const { control } = directory(dir)
  const place = control[vendor]
  if (place === undefined) throw new Error(`there is no cloud ${vendor}; there are ${Object.keys(control).join(', ')}`)
  const answer = await request(`http://127.0.0.1:${place.port}${action}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${place.token}` },
    body: JSON.stringify(body),
  }).catch(() => {
    throw new Error(`the demo clouds of ${dir} are not running; start them with: spillway up --demo`)
  })
  const result = (await answer.body.json()) as { message?: string }
  if (answer.statusCode !== 200)
    throw new Error(result.message ?? `the cloud answered with status ${answer.statusCode}`)
  return result
}
