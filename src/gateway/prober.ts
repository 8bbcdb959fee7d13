import type { Provider } from '../adapters/providers/provider.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { Plane } from './plane.ts'

/** A place that could not be reached joins within 5 s of its return: tried each 2 s, given 2 s to answer. */
const probeEveryMs = 2_000
const probeTimeoutMs = 2_000

/**
 * Finds out at start, and after each reload, which providers can be reached, and goes on asking those that cannot. A
 * provider that was reached once is left to the scheduler's own ejection and half-open tries.
 */
export class Prober {
  readonly #dispatcher: Dispatcher
  readonly #onChange: (providerName: string, problem: string | undefined) => void
  readonly #settled = new WeakSet<Provider>()
  readonly #down = new Map<string, string>()
  #plane: Plane | undefined
  #timer: NodeJS.Timeout | undefined

  /** `onChange` gets the problem in words, or undefined when the provider answers (again). */
  constructor(dispatcher: Dispatcher, onChange: (providerName: string, problem: string | undefined) => void) {
    this.#dispatcher = dispatcher
    this.#onChange = onChange
  }

  /** Providers that cannot be reached, and why. */
  get down(): ReadonlyMap<string, string> {
    return this.#down
  }

  /** Probes every provider of the plane that was not reached before. Resolves when the first round is over. */
  async watch(plane: Plane): Promise<void> {
    this.#plane = plane
    for (const name of this.#down.keys()) if (plane.config.providers[name] === undefined) this.#down.delete(name)
    this.#timer ??= setInterval(() => void this.#round(), probeEveryMs).unref()
    await this.#round()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  async #round(): Promise<void> {
    const plane = this.#plane
    if (plane === undefined) return
    const providers = new Map<string, Provider | undefined>()
    for (const endpoint of plane.endpoints) providers.set(endpoint.providerName, endpoint.provider)
    await Promise.all([...providers].map(([name, provider]) => this.#probe(plane, name, provider)))
  }

  async #probe(plane: Plane, name: string, provider: Provider | undefined): Promise<void> {
    if (provider === undefined) {
      if (!this.#down.has(name)) this.#tell(plane, name, 'its secret is missing')
      return
    }
    if (this.#settled.has(provider)) return
    const result = await provider.probe(probeTimeoutMs)
    if (this.#plane !== plane) return
    if (result.reachable) {
      this.#settled.add(provider)
      if (this.#down.delete(name)) this.#tell(plane, name, undefined)
    } else if (this.#down.get(name) !== result.problem) {
      this.#tell(plane, name, result.problem ?? 'it cannot be reached')
    }
  }

  #tell(plane: Plane, name: string, problem: string | undefined): void {
    if (problem !== undefined) this.#down.set(name, problem)
    this.#onChange(name, problem)
    for (const endpoint of plane.endpoints) {
      if (endpoint.providerName !== name) continue
      this.#dispatcher.tell({ kind: 'endpoint-probed', endpointId: endpoint.id, reachable: problem === undefined })
    }
  }
}
