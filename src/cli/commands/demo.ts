import path from 'node:path'
import { type Command, type Terminal, UsageError } from '../command.ts'
import { spelled } from '../command-line.ts'
import { askVendor, type DemoDirectory, readDirectory } from '../demo-control.ts'
import { startDemoClouds } from '../demo-process.ts'
import { actionIn, durationMs, noWords, oneWord, positive, readOptions } from '../options.ts'
import { firstSignal } from '../signals.ts'

const forMsMax = 86_400_000
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
    const { action, rest } = actionIn(positionals, ['clouds', 'fail', 'heal', 'status'])
    switch (action) {
      case 'clouds':
        noWords(rest)
        return runClouds(dir, positive('speed', values.speed) ?? 1, terminal)
      case 'fail': {
        const how = values.how ?? 'down'
        if (!faults.includes(how)) throw new UsageError(`--how takes ${faults.join(', ')}, not ${JSON.stringify(how)}`)
        const forMs = durationMs('for', values.for)
        if (forMs !== undefined && forMs > forMsMax) throw new UsageError('--for takes 24h at most')
        const [vendor, country] = placeIn(oneWord(rest, 'the cloud, as VENDOR/COUNTRY,'))
        await tell(dir, vendor, 'fail', { country, how, ...(forMs !== undefined && { forMs }) })
        const heal = `demo heal ${vendor}/${country}${values.dir === undefined ? '' : ` --dir ${values.dir}`}`
        const until = forMs === undefined ? `until ${spelled(heal)}` : `for ${forMs / 1_000} s`
        terminal.result(
          { vendor, country, how, forMs: forMs ?? null },
          `${vendor} in ${country} is ${described[how] ?? how}, ${until}`,
        )
        return 0
      }
      case 'heal': {
        const [word] = rest
        const place = word === undefined ? undefined : placeIn(oneWord(rest, 'the cloud'))
        const vendors = place === undefined ? Object.keys(directoryIn(dir).control) : [place[0]]
        for (const vendor of vendors) await tell(dir, vendor, 'heal', place === undefined ? {} : { country: place[1] })
        terminal.result(
          { healed: place === undefined ? 'all' : place.join('/') },
          place === undefined ? 'every cloud is well again' : `${place[0]} in ${place[1]} is well again`,
        )
        return 0
      }
      case 'status': {
        noWords(rest)
        const rows: string[][] = []
        const all: unknown[] = []
        for (const vendor of Object.keys(directoryIn(dir).control)) {
          for (const cloud of (await tell(dir, vendor, 'status', {})) as CloudStatus[]) {
            all.push({ vendor, ...cloud })
            rows.push([
              vendor,
              cloud.country,
              String(cloud.port),
              `${cloud.inFlight} of ${cloud.slots}`,
              cloud.fault === null ? 'well' : (described[cloud.fault] ?? cloud.fault),
            ])
          }
        }
        terminal.result(all, terminal.table(['cloud', 'country', 'port', 'slots in use', 'state'], rows))
        return 0
      }
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
  await firstSignal()
  await demo.stop()
  return 0
}

function placeIn(word: string): [vendor: string, country: string] {
  const [vendor, country, extra] = word.split('/')
  if (!vendor || !country || extra !== undefined)
    throw new UsageError(`a cloud is named as VENDOR/COUNTRY, such as google-cloud/NL, not ${JSON.stringify(word)}`)
  return [vendor, country.toUpperCase()]
}

/** The clouds that were started in a directory; throws where there are none. */
function directoryIn(dir: string): DemoDirectory {
  const directory = readDirectory(dir)
  if (directory === undefined) throw notRunning(dir)
  return directory
}

async function tell(
  dir: string,
  vendor: string,
  action: 'fail' | 'heal' | 'status',
  argument: object,
): Promise<unknown> {
  const result = await askVendor(directoryIn(dir), vendor, action, argument)
  if (result === undefined) throw notRunning(dir)
  return result
}

function notRunning(dir: string): Error {
  return new Error(
    `no demo clouds are running with their files in ${dir}; start them with ${spelled('up --demo')}, or name the folder with --dir`,
  )
}
