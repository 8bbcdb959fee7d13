import { Resolver, lookup as systemLookup } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import type { LookupFunction } from 'node:net'
import { withTimeout } from './patient-fetch.ts'

interface Address {
  readonly address: string
  readonly family: 4 | 6
}

interface Known {
  addresses: readonly Address[]
  /** Until then nobody asks again; after a failure, too. */
  freshUntilMs: number
  /** When the addresses were last confirmed. */
  confirmedMs: number
  /** Why there are none, or no newer ones. */
  problem: NodeJS.ErrnoException | undefined
  asking: Promise<void> | undefined
}

const lookupMsMax = 2_000
/** An address is good for as long as its record says, within these. */
const freshMsMin = 5_000
const freshMsMax = 60_000
/** After a failure the name is left alone for so long. */
const holdMs = 1_000
/** Addresses that nobody confirms any more are still used for so long (promise P08). */
const keptMsMax = 3_600_000

export interface ResolverOptions {
  readonly resolver: Pick<Resolver, 'resolve4' | 'resolve6'>
  readonly hostsFile: string
  /** The system's own way, for names that DNS does not know: search domains, mDNS. */
  readonly system: (host: string) => Promise<readonly Address[]>
  readonly nowMs: () => number
}

/**
 * Finds the addresses of vendors. By DNS itself: the system's `getaddrinfo` waits in the thread pool in which the
 * journal is written too, and a few names that do not resolve would stop it. Known addresses are used at once and
 * renewed beside that; where they cannot be, the last good ones stay.
 */
export class HostResolver {
  readonly #options: ResolverOptions
  readonly #names = new Map<string, Known>()
  /** The system is asked for one name at a time, so that one thread of the pool is all that can be stuck. */
  #system: Promise<unknown> = Promise.resolve()

  constructor(options: ResolverOptions) {
    this.#options = options
  }

  /** For `net.connect`. */
  readonly lookup: LookupFunction = (host, { all, family }, done) => {
    this.addresses(host).then(
      (addresses) => {
        const wanted = addresses.filter((one) => !family || family === one.family || family === `IPv${one.family}`)
        const [first] = wanted
        if (first === undefined) done(notFound(host), '')
        else if (all) done(null, wanted as Address[])
        else done(null, first.address, first.family)
      },
      (error: NodeJS.ErrnoException) => done(error, ''),
    )
  }

  /** At least one. Rejects where the name has none, and none that is remembered. */
  async addresses(host: string): Promise<readonly Address[]> {
    const nowMs = this.#options.nowMs()
    let known = this.#names.get(host)
    if (known === undefined) {
      known = {
        addresses: [],
        freshUntilMs: Number.NEGATIVE_INFINITY,
        confirmedMs: nowMs,
        problem: undefined,
        asking: undefined,
      }
      this.#names.set(host, known)
    }
    if (nowMs >= known.freshUntilMs) known.asking ??= this.#ask(host, known)
    if (nowMs - known.confirmedMs > keptMsMax) known.addresses = []
    if (known.addresses.length === 0) await known.asking
    if (known.addresses.length === 0) throw known.problem ?? notFound(host)
    return known.addresses
  }

  async #ask(host: string, known: Known): Promise<void> {
    const { nowMs } = this.#options
    try {
      const { addresses, freshMs } = await withTimeout(this.#find(host), lookupMsMax)
      known.addresses = addresses
      known.confirmedMs = nowMs()
      known.freshUntilMs = known.confirmedMs + Math.min(freshMsMax, Math.max(freshMsMin, freshMs))
      known.problem = undefined
    } catch (error) {
      known.problem = (error as NodeJS.ErrnoException).code === undefined ? notFound(host) : (error as Error)
      known.freshUntilMs = nowMs() + holdMs
    }
    known.asking = undefined
  }

  async #find(host: string): Promise<{ addresses: readonly Address[]; freshMs: number }> {
    const listed = this.#inHostsFile(host)
    if (listed.length > 0) return { addresses: listed, freshMs: freshMsMax }
    const { resolver, system } = this.#options
    const [four, six] = await Promise.allSettled([
      resolver.resolve4(host, { ttl: true }),
      resolver.resolve6(host, { ttl: true }),
    ])
    const found = [
      // First those that work everywhere; the connection tries the others where they do not.
      ...(four.status === 'fulfilled'
        ? four.value.map(({ address, ttl }) => ({ address, ttl, family: 4 as const }))
        : []),
      ...(six.status === 'fulfilled'
        ? six.value.map(({ address, ttl }) => ({ address, ttl, family: 6 as const }))
        : []),
    ]
    if (found.length > 0) return { addresses: found, freshMs: Math.min(...found.map(({ ttl }) => ttl)) * 1_000 }
    const asked = this.#system.then(() => system(host))
    this.#system = asked.catch(() => {})
    const addresses = await asked
    if (addresses.length === 0) throw notFound(host)
    return { addresses, freshMs: freshMsMin }
  }

  #inHostsFile(host: string): Address[] {
    let text: string
    try {
      text = readFileSync(this.#options.hostsFile, 'utf8')
    } catch {
      return []
    }
    const name = host.toLowerCase()
    return text.split('\n').flatMap((line) => {
      const [address = '', ...names] = line.replace(/#.*/, '').toLowerCase().trim().split(/\s+/)
      return names.includes(name) ? [{ address, family: address.includes(':') ? (6 as const) : (4 as const) }] : []
    })
  }
}

function notFound(host: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`the name ${host} has no address`), { code: 'ENOTFOUND' })
}

/** The one that all connections of this process share. */
export const hostResolver = new HostResolver({
  resolver: new Resolver({ timeout: lookupMsMax / 2, tries: 2 }),
  hostsFile: '/etc/hosts',
  system: async (host) => (await systemLookup(host, { all: true })) as Address[],
  nowMs: () => performance.now(),
})
