import type { Endpoint } from '../core/endpoint.ts'
import type { EndpointId } from '../core/ids.ts'
import { type Eligibility, eligibilityOf } from '../core/request.ts'

/** What a tenant has agreed to. `any` must be said; an empty list allows nothing. */
export interface Terms {
  readonly countries: readonly string[] | 'any'
  readonly subProcessors: readonly string[] | 'any'
  readonly allowSubstitutes: boolean
}

export type EligibilityRule = 'country' | 'sub-processor' | 'substitutes' | 'price'

/** What stands beside the terms. */
export interface Demands {
  /** The endpoints of the model are not all the same model, which the terms must allow. */
  readonly substitutes: boolean
  /** A budget in money cannot be kept where a price is not known: only endpoints with one may serve. */
  readonly pricedOnly: boolean
}

/** Why an endpoint may not serve. */
export interface Exclusion {
  readonly endpointId: EndpointId
  readonly rule: EligibilityRule
  /** For a person: what stands against it. */
  readonly detail: string
}

export interface Verdict {
  readonly eligible: Eligibility
  readonly excluded: readonly Exclusion[]
}

/** May data of these terms be processed in this place? What is not known to be allowed is not. */
export function locationAllowed(
  terms: Terms,
  location: { readonly country: string; readonly subProcessor: string },
): boolean {
  return allows(terms.countries, location.country) && allows(terms.subProcessors, location.subProcessor)
}

function allows(allowed: readonly string[] | 'any', value: string): boolean {
  return value !== '' && (allowed === 'any' || allowed.includes(value))
}

/**
 * The law over one generation of endpoints. Equal terms get the same `Eligibility` object, so that the scheduler can
 * group who waits by it.
 */
export class EligibilityTable {
  readonly #endpoints: readonly Endpoint[]
  readonly #version: number
  readonly #verdicts = new Map<string, Verdict>()

  /** `endpoints[i].index` must be `i`. */
  constructor(endpoints: readonly Endpoint[], version: number) {
    this.#endpoints = endpoints
    this.#version = version
  }

  lookup(terms: Terms, model: string, demands: Demands): Verdict {
    const key = keyOf(terms, model, demands)
    let verdict = this.#verdicts.get(key)
    if (verdict === undefined) {
      verdict = this.#judge(terms, model, demands)
      this.#verdicts.set(key, verdict)
    }
    return verdict
  }

  #judge(terms: Terms, model: string, demands: Demands): Verdict {
    const allowed: number[] = []
    const excluded: Exclusion[] = []
    for (const endpoint of this.#endpoints) {
      if (endpoint.model !== model) continue
      const against = objection(terms, endpoint, demands)
      if (against === undefined) allowed.push(endpoint.index)
      else excluded.push({ endpointId: endpoint.id, ...against })
    }
    return { eligible: eligibilityOf(allowed, this.#endpoints.length, this.#version), excluded }
  }
}

function objection(
  terms: Terms,
  { country, subProcessor, prices }: Endpoint,
  { substitutes, pricedOnly }: Demands,
): Omit<Exclusion, 'endpointId'> | undefined {
  if (!allows(terms.countries, country))
    return { rule: 'country', detail: `${country || 'an unknown country'} is not among the allowed countries` }
  if (!allows(terms.subProcessors, subProcessor)) {
    return {
      rule: 'sub-processor',
      detail: `${subProcessor || 'an unknown sub-processor'} is not among the allowed sub-processors`,
    }
  }
  if (substitutes && !terms.allowSubstitutes)
    return { rule: 'substitutes', detail: 'the workspace does not allow another model in place of the one asked for' }
  if (pricedOnly && prices === undefined)
    return { rule: 'price', detail: 'its price is not known, and a budget in dollars is to be kept' }
  return undefined
}

function keyOf({ countries, subProcessors, allowSubstitutes }: Terms, model: string, { pricedOnly }: Demands): string {
  const words = (list: readonly string[] | 'any') => (list === 'any' ? 'any' : [...new Set(list)].sort())
  return JSON.stringify([model, words(countries), words(subProcessors), allowSubstitutes, pricedOnly])
}
