// Replays a recorded trace against the real gateway and the demo clouds while one cloud is down, then slow, then
// resetting, and holds what clients, clouds and ledger say against each other. Exits with 1 where the bar is missed.
import { parseArgs } from 'node:util'
import { pause } from '../e2e/gateway-process.ts'
import { barOf } from './bar.ts'
import { join } from './join.ts'
import { jsonReport, textReport } from './report.ts'
import { Stage } from './stage.ts'
import { onlyBritish } from './tenants.ts'

const usage = `node test/acceptance/replay.ts [--quick] [--speed N] [--slots-scale X] [--keep] [--json]

  --quick           four minutes of the trace in forty seconds, faults of eleven: for every change
  --speed N         arrivals come N times faster (default: 5, which is two minutes; --quick: 6)
  --slots-scale X   the clouds have X times their slots (default: 0.1, so that they
                    fill up at times and requests have to wait)
  --keep            leaves the books and the replay's page in a folder; also done where the bar is missed
  --json            the result for programs`

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    speed: { type: 'string' },
    'slots-scale': { type: 'string', default: '0.1' },
    keep: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  process.stdout.write(`${usage}\n`)
  process.exit(0)
}

const trace = 'azure-2023-conversation'
const place = 'microsoft/GB'
const minutes = values.quick ? 4 : 10
const speed = Number(values.speed ?? (values.quick ? 6 : 5))
const slotsScale = Number(values['slots-scale'])
const runMs = (minutes * 60_000) / speed
/** Of the whole run: some time before the first fault, 33 s of the full run for each, and time to recover between. */
const beforeMs = runMs * 0.1
const faultMs = Math.round(runMs * 0.275)
const betweenMs = runMs * 0.03
/** The bar of the full run. A faster one shows the same in less time, but not for as long. */
const faultMsMin = runMs >= 120_000 ? 30_000 : 0

const say = (text: string) => process.stderr.write(`${text}\n`)

say(`${minutes} minutes of ${trace} at speed ${speed}: about ${Math.ceil(runMs / 1_000) + 30} s`)
const stage = await Stage.set(slotsScale)
let keep = values.keep
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void stage.strike(false).then(() => process.exit(130)))
try {
  const startedMs = performance.now()
  const replayed = stage.replay(trace, minutes, speed)
  // Its failure is told where it is awaited; until then it must not end the process.
  replayed.catch(() => {})
  const ineligible = await stage.ask(onlyBritish, 'chat-small')
  let whileDown = ineligible
  await pause(beforeMs)
  for (const how of ['down', 'slow', 'reset']) {
    await stage.fail(place, how, faultMs)
    say(`${((performance.now() - startedMs) / 1_000).toFixed(0).padStart(4)} s  ${place}: ${how}`)
    await pause(faultMs / 2)
    if (how === 'down') whileDown = await stage.ask(onlyBritish, 'chat-large')
    await pause(faultMs / 2 + betweenMs)
  }
  await replayed
  // Its prompts begin alike, so that vendors count some of their tokens as cached.
  await stage.replay('mooncake-head', 1, 2)
  const books = await stage.books()
  const joined = join(books)
  const bar = barOf({ books, joined, faultMsMin, whileDown, ineligible })
  const passed = bar.every(({ holds }) => holds)
  keep ||= !passed
  const report = { books, joined, bar, place, runMs }
  process.stdout.write(values.json ? jsonReport(report) : textReport(report))
  process.exitCode = passed ? 0 : 1
} catch (error) {
  keep = true
  process.exitCode = 1
  say(String(error))
} finally {
  if (keep) say(`the books are in ${stage.dir}`)
  await stage.strike(keep)
}
