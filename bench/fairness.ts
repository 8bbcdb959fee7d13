// Whether 10,000 tenants that all ask for more than there is get equal shares, and what choosing among them costs:
// `npm run bench:fairness -- [--check] [--json]`.
//
// The scheduler's own queue and books of shares, without endpoints: each step serves the first in order, charges it,
// lets one that runs end and settles it, and lets the tenant that was served ask again. `--check` exits with 1 where a
// gap is above its bound or fewer than a million are served in a second.
import { parseArgs } from 'node:util'
import { openTerminal } from '../src/cli/terminal.ts'
import { FairShares, type Flow, outputWeight } from '../src/core/fair-shares.ts'
import { type Random, seededRandom } from '../src/core/random.ts'
import { eligibilityOf, type RequestFacts, type TokenCount } from '../src/core/request.ts'
import { classOf } from '../src/core/testing.ts'
import { type Waiter, WaitQueue } from '../src/core/wait-queue.ts'

const tenantsCount = 10_000
const dispatches = 1_000_000
const inputTokensMax = 2_000
const outputTokensMax = 1_000
const inFlight = 640
const waitingEach = 3
const perSecondWanted = 1_000_000
/** The gap is looked at so often. */
const lookEvery = 50_000
/** Time is that of the thread on its core, and the fastest of so many runs counts: what a busy machine adds is not ours. */
const runs = 5

interface Row {
  readonly lengths: string
  readonly perSecond: number
  readonly gapTokens: number
  readonly boundTokens: number
}

/** A request of a tenant, which asks the next one when it has ended: an object less for each. */
interface Asking extends Waiter {
  sequence: number
  used: TokenCount
  bound: TokenCount
  charged: number
}

const limit: TokenCount = { input: inputTokensMax, cachedInput: 0, output: outputTokensMax }
const everywhere = eligibilityOf([0], 1, 1)
const serviceClass = classOf(0)

const { values } = parseArgs({ options: { check: { type: 'boolean' }, json: { type: 'boolean' } } })
const rows = [measured('known', (used) => used), measured('guessed at their limit', () => limit)]
const missed = rows.filter(
  ({ perSecond, gapTokens, boundTokens }) => perSecond < perSecondWanted || gapTokens > boundTokens,
)
const terminal = openTerminal({ ...process, cwd: process.cwd(), json: values.json === true })
terminal.result(
  { node: process.version, tenants: tenantsCount, dispatches, rows, missed },
  [
    terminal.table(
      ['lengths', 'dispatches a second', 'largest gap', 'bound'],
      rows.map(({ lengths, perSecond, gapTokens, boundTokens }) => [
        lengths,
        perSecond.toLocaleString('en'),
        gapTokens.toLocaleString('en'),
        boundTokens.toLocaleString('en'),
      ]),
    ),
    ...missed.map(({ lengths }) => `missed: lengths ${lengths}`),
  ].join('\n'),
)
if (values.check && missed.length > 0) process.exitCode = 1

function measured(lengths: string, expected: (used: TokenCount) => TokenCount): Row {
  const all = Array.from({ length: runs }, (_, run) => serve(expected, run + 1))
  return {
    lengths,
    perSecond: Math.round(Math.max(...all.map(({ perSecond }) => perSecond))),
    gapTokens: Math.round(Math.max(...all.map(({ gapTokens }) => gapTokens))),
    // VTC's: twice the most that one request can take of either kind, tokens by weight.
    boundTokens: 2 * Math.max(inputTokensMax, outputWeight * outputTokensMax),
  }
}

/** A million dispatches among tenants of which each has requests waiting at all times. */
function serve(boundOf: (used: TokenCount) => TokenCount, seed: number): { perSecond: number; gapTokens: number } {
  const random = seededRandom(seed)
  const shares = new FairShares()
  const queue = new WaitQueue<Asking>(shares)
  const had = new Float64Array(tenantsCount + 1)
  const sizes = Array.from({ length: 4_096 }, () => ({
    input: 1 + int(inputTokensMax, random),
    cachedInput: 0,
    output: 1 + int(outputTokensMax, random),
  }))
  const running: Asking[] = []
  let sequence = 0
  const ask = (asking: Asking) => {
    asking.used = sizes[int(sizes.length, random)] as TokenCount
    asking.bound = boundOf(asking.used)
    asking.sequence = ++sequence
    queue.add(asking, 0)
  }
  // More than may run at once, so that nobody's line is ever empty.
  for (let n = 0; n < waitingEach; n++)
    for (let tenant = 0; tenant < tenantsCount; tenant++) ask(newAsking(shares.flowOf(factsOf(tenant))))
  let gapTokens = 0
  let spentMs = 0
  for (let served = 0; served < dispatches; served += lookEvery) {
    const before = process.threadCpuUsage()
    for (let n = 0; n < lookEvery; n++) {
      const next = queue.first(0, anyone, anyone) as Asking
      const { flow, used } = next
      next.charged = shares.dispatched(flow, next.bound, true, 0)
      queue.remove(next)
      shares.charge(flow, next.charged)
      had[flow.order] = (had[flow.order] as number) + used.input + outputWeight * used.output
      running.push(next)
      if (running.length <= inFlight) continue
      const at = int(running.length, random)
      const ended = running[at] as Asking
      running[at] = running.at(-1) as Asking
      running.pop()
      shares.released(ended.flow)
      shares.settled(ended.flow, ended.charged, ended.bound, ended.used)
      ask(ended)
    }
    const { user, system } = process.threadCpuUsage(before)
    spentMs += (user + system) / 1_000
    const tokens = had.subarray(1)
    gapTokens = Math.max(gapTokens, Math.max(...tokens) - Math.min(...tokens))
  }
  return { perSecond: dispatches / (spentMs / 1_000), gapTokens }
}

function factsOf(tenant: number): RequestFacts {
  const times = { arrivedAtMs: 0, waitMsMax: 1e9, deadlineMs: 1e9 }
  return {
    id: '',
    tenant: `tenant-${tenant}`,
    serviceClass,
    model: 'chat',
    eligible: everywhere,
    tokens: limit,
    ...times,
  }
}

function newAsking(flow: Flow): Asking {
  const times = { deadlineMs: 1e9, arrivedMs: 0, waitUntilMs: 1e9 }
  return { flow, used: limit, bound: limit, charged: 0, sequence: 0, tries: 0, eligible: everywhere, ...times }
}

function anyone(): boolean {
  return true
}

function int(below: number, random: Random): number {
  return Math.floor(random.next() * below)
}
