import { openProvider } from '../adapters/providers/open-provider.ts'
import type { Provider } from '../adapters/providers/provider.ts'
import type { Config } from '../config/config.ts'
import { systemClock } from './clock.ts'
import { resolveSecret, secretOf } from './secrets.ts'

/** Why a provider is switched off. */
export interface ProviderProblem {
  readonly provider: string
  readonly problem: string
}

interface Opened {
  readonly provider: Provider
  /** What it was made from: a change of any of it makes another one. */
  readonly fingerprint: string
}

/** Providers of a configuration that is not in force yet. */
export interface PreparedProviders {
  readonly providers: ReadonlyMap<string, Provider>
  readonly problems: readonly ProviderProblem[]
  /** Equal where the same is opened with the same secrets. Holds these: not to be shown. */
  readonly fingerprint: string
  /** They are in use now: those that they take the place of close once their last answer has ended. */
  commit(): void
  /** They will not be used: what was opened for them closes. */
  discard(): void
}

/** The providers in use, kept over reloads: one that did not change keeps its connections, one that did is made anew. */
export class ProviderSet {
  readonly #env: Readonly<Record<string, string | undefined>>
  readonly #onProblem: (problem: ProviderProblem) => void
  #opened: ReadonlyMap<string, Opened> = new Map()

  /** `onProblem` is told of trouble that comes up later and that only the operator can end. */
  constructor(
    env: Readonly<Record<string, string | undefined>>,
    onProblem: (problem: ProviderProblem) => void = () => {},
  ) {
    this.#env = env
    this.#onProblem = onProblem
  }

  /** Opens what the configuration names. A missing secret switches its provider off and is reported; the rest serves. */
  async prepare(config: Config, dir: string): Promise<PreparedProviders> {
    const next = new Map<string, Opened>()
    const problems: ProviderProblem[] = []
    for (const [name, provider] of Object.entries(config.providers)) {
      const secret = secretOf(provider).reference
      const resolved = secret === undefined ? undefined : resolveSecret(secret, { env: this.#env, dir })
      if (resolved?.kind === 'missing') {
        problems.push({ provider: name, problem: resolved.problem })
        continue
      }
      const fingerprint = JSON.stringify([provider, resolved?.value, config.limits])
      const known = this.#opened.get(name)
      if (known?.fingerprint === fingerprint) {
        next.set(name, known)
        continue
      }
      try {
        const onProblem = (problem: string) => this.#onProblem({ provider: name, problem })
        const opened = await openProvider(provider, resolved?.value, config.limits, systemClock, onProblem)
        next.set(name, { provider: opened, fingerprint })
      } catch (error) {
        problems.push({ provider: name, problem: (error as Error).message })
      }
    }
    return {
      providers: new Map([...next].map(([name, { provider }]) => [name, provider])),
      problems,
      fingerprint: JSON.stringify([problems, [...next.values()].map(({ fingerprint }) => fingerprint)]),
      commit: () => {
        const old = this.#opened
        this.#opened = next
        closeThoseOnlyIn(old, next)
      },
      discard: () => closeThoseOnlyIn(next, this.#opened),
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#opened.values()].map(({ provider }) => provider.close()))
  }
}

function closeThoseOnlyIn(some: ReadonlyMap<string, Opened>, others: ReadonlyMap<string, Opened>): void {
  const kept = new Set(others.values())
  for (const opened of some.values()) if (!kept.has(opened)) void opened.provider.close()
}
