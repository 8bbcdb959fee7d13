import type { Endpoint } from './endpoint.ts'
import { EndpointState } from './endpoint-state.ts'
import type { RoutingByModel } from './events.ts'
import type { EndpointId } from './ids.ts'
import { Model } from './model.ts'
import type { Random } from './random.ts'
import type { Eligibility } from './request.ts'

/** The endpoints in force and the models they serve. What is known of a place outlives the set it was in. */
export class Fleet {
  readonly #random: Random
  readonly #leastShare: number | undefined
  readonly #models = new Map<string, Model>()
  /** Also those that have left the set, while attempts at them run or their vendor's Retry-After does. */
  readonly #places = new Map<string, EndpointState>()
  #byIndex: readonly EndpointState[] = []
  #byId: ReadonlyMap<EndpointId, EndpointState> = new Map()
  #version = 0
  #hasCrowds = false

  /** `random` tells equals apart. */
  constructor(random: Random, leastShare?: number) {
    this.#random = random
    this.#leastShare = leastShare
  }

  get states(): readonly EndpointState[] {
    return this.#byIndex
  }

  /** The endpoint that an index of a word of this version means. */
  at(index: number): EndpointState {
    return this.#byIndex[index] as EndpointState
  }

  /** Does a model have very many endpoints? */
  get hasCrowds(): boolean {
    return this.#hasCrowds
  }

  get models(): Iterable<Model> {
    return this.#models.values()
  }

  knownModel(name: string): Model | undefined {
    return this.#models.get(name)
  }

  model(name: string): Model {
    let model = this.#models.get(name)
    if (model === undefined) {
      model = new Model(this, this.#random, this.#leastShare)
      this.#models.set(name, model)
    }
    return model
  }

  find(id: EndpointId): EndpointState | undefined {
    return this.#byId.get(id)
  }

  /** A word is good for the version it was made for: of another one, its indices mean other places. */
  fits(eligible: Eligibility): boolean {
    return eligible.version === this.#version
  }

  /** A place may have left the set while attempts at it run on. */
  isPresent(state: EndpointState): boolean {
    return this.#byIndex[state.endpoint.index] === state
  }

  /** Throws where an endpoint's index is not its place in the list. */
  change(version: number, endpoints: readonly Endpoint[], routing: RoutingByModel, nowMs: number): void {
    for (const [key, state] of this.#places) {
      const isBusy = state.inFlight > 0 || state.heldUntilMs > nowMs
      if (!isBusy && !this.isPresent(state)) this.#places.delete(key)
    }
    this.#version = version
    this.#byIndex = endpoints.map((endpoint, index) => {
      if (endpoint.index !== index)
        throw new Error(`endpoint ${endpoint.id} has index ${endpoint.index} at place ${index}`)
      const key = placeKeyOf(endpoint)
      const state = this.#places.get(key) ?? new EndpointState(endpoint)
      this.#places.set(key, state)
      state.configure(endpoint, nowMs)
      return state
    })
    this.#byId = new Map(this.#byIndex.map((state) => [state.endpoint.id, state]))
    for (const name of Object.keys(routing)) this.model(name)
    for (const [name, model] of this.#models) {
      const preset = Object.hasOwn(routing, name) ? routing[name] : undefined
      const states = preset === undefined ? [] : this.#byIndex.filter(({ endpoint }) => endpoint.model === name)
      model.setEndpoints(states, preset ?? 'interactive', nowMs)
    }
    this.#hasCrowds = [...this.#models.values()].some(({ crowd }) => crowd !== undefined)
  }
}

/** Another vendor, country or model under the same name is another place: it starts with a clean record. */
function placeKeyOf({ id, model, subProcessor, country }: Endpoint): string {
  return JSON.stringify([id, model, subProcessor, country])
}
