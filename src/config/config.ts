import type { BrownoutStep } from '../core/brownout.ts'
import type { NoLoadFirstToken, RoutingPreset, TokenPrices } from '../core/endpoint.ts'
import type { ServiceTier, TierTerms } from '../core/service-class.ts'

/** A secret is never in the file: it is named by where it lies. */
export type SecretReference = { readonly env: string } | { readonly file: string }

export interface Listen {
  readonly host: string
  readonly port: number
}

export interface TrafficLimits {
  /**
   * From a vendor being asked to the head of a whole answer, or to the first event of a stream. Making a connection and
   * fetching a token count; keep-alive comments do not.
   */
  readonly firstByteMs: number
  /** Between two bytes of a running answer; and, towards the client, without progress of a write. */
  readonly streamIdleMs: number
  readonly requestHeadMs: number
  /** For the whole body, from the end of the head. */
  readonly requestBodyMs: number
  readonly bodyBytesMax: number
  /** A whole (not streamed) answer of a vendor. */
  readonly answerBytesMax: number
  /** Bodies held at once over all requests; above it new ones get 503. */
  readonly buffersBytesMax: number
  /** How long a request may wait for a free slot. */
  readonly queueMs: number
  readonly queueLengthMax: number
  readonly attemptsMax: number
  readonly connectMs: number
  /** How long open answers may run on after SIGTERM. */
  readonly drainMs: number
  /** Open client connections; fewer where the process may not open two descriptors for each. */
  readonly connectionsMax: number
}

interface ProviderPlace {
  /** The legal entity that processes: an id of the register. */
  readonly subProcessor: string
  /** ISO 3166-1 alpha-2. */
  readonly country: string
}

export type ProviderConfig = ProviderPlace &
  (
    | {
        readonly kind: 'openai-compatible'
        readonly baseUrl: string
        readonly apiKey?: SecretReference
      }
    | {
        readonly kind: 'azure'
        readonly baseUrl: string
        readonly apiKey?: SecretReference
        /** Without `apiKey`: a bearer token from Entra through @azure/identity. */
        readonly credentials?: 'entra'
        /** `deployment` (default): /openai/deployments/{model}/… with `apiVersion`; `v1`: /openai/v1/… */
        readonly path: 'deployment' | 'v1'
        readonly apiVersion: string
      }
    | {
        readonly kind: 'vertex'
        readonly project: string
        readonly location: string
        readonly baseUrl?: string
        /** A service-account or workload-identity file, or a ready bearer token; absent: the metadata server / ADC. */
        readonly credentials?: SecretReference
      }
    | {
        readonly kind: 'bedrock'
        readonly region: string
        readonly baseUrl?: string
        /** A Bedrock API key as bearer; absent: SigV4 with the AWS credential chain. */
        readonly credentials?: SecretReference
      }
  )

export interface EndpointConfig {
  readonly provider: string
  /** The model's (or deployment's) name at the vendor. */
  readonly upstreamModel: string
  readonly concurrencyMax: number
  readonly kvTokens?: number
  readonly noLoadFirstToken?: NoLoadFirstToken
  /** The vendor's own limits there; absent where it has none, or they are not known. */
  readonly tokensPerMinute?: number
  readonly requestsPerMinute?: number
  readonly rampFromTokensPerMinute?: number
  /** Overrides the price book. */
  readonly usdPerMillionTokens?: TokenPrices
}

export interface ModelConfig {
  readonly endpoints: readonly EndpointConfig[]
  readonly routing: RoutingPreset
  /** The endpoints are different models; a tenant must allow it. */
  readonly substitutes: boolean
  /** Held for the answer where the caller sets no limit of its own. */
  readonly outputTokensDefault: number
}

export interface PlanConfig {
  /** Of its default tier. */
  readonly priority: number
  /** Tiers it may ask for in addition to `default`, `flex` and `batch`, or other terms for these. */
  readonly tiers: Readonly<Partial<Record<ServiceTier, TierTerms>>>
  /** What becomes of a request for a tier that the plan does not have: it is served as `default`, or refused. */
  readonly otherTiers: 'default' | 'refuse'
  /** What it does without while a model is short, in the order of rising pressure. */
  readonly brownout: readonly BrownoutStep[]
}

/** Absent limits are off. */
export interface TenantLimits {
  readonly tokensPerMinute?: number
  readonly requestsPerMinute?: number
  readonly concurrentRequests?: number
  readonly budgetUsdPerMonth?: number
}

export interface TenantConfig extends TenantLimits {
  readonly plan: string
  /** `any` must be written; an empty list allows nothing. */
  readonly countries: readonly string[] | 'any'
  readonly subProcessors: readonly string[] | 'any'
  readonly allowSubstitutes: boolean
  readonly keys: readonly SecretReference[]
}

export interface Config {
  readonly listen: Listen
  readonly metrics: Listen | 'off'
  readonly tls?: { readonly cert: string; readonly key: string }
  readonly location: { readonly country: string; readonly subProcessor: string }
  /** Absolute. */
  readonly dataDir: string
  readonly limits: TrafficLimits
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent' }
  readonly telemetry: { readonly otlpEndpoint?: string }
  readonly journal: { readonly segmentBytesMax: number; readonly retentionDays: number }
  /** Where given, every event the scheduler sees is appended here. */
  readonly eventLog?: string
  readonly providers: Readonly<Record<string, ProviderConfig>>
  readonly models: Readonly<Record<string, ModelConfig>>
  readonly plans: Readonly<Record<string, PlanConfig>>
  readonly tenants: Readonly<Record<string, TenantConfig>>
}

/** One mistake of a config file. */
export interface ConfigIssue {
  /** For example `tenants.acme.countries[1]`. */
  readonly path: string
  /** What is wrong and what to do. */
  readonly message: string
  /** 1-based line in the file, where it is known. */
  readonly line?: number
}

export type ConfigResult =
  | {
      readonly kind: 'valid'
      readonly config: Config
      readonly warnings: readonly ConfigIssue[]
      /** For what is found wrong later, such as a secret that is not there: puts it at its line. */
      locate(finding: { readonly path: readonly PropertyKey[]; readonly message: string }): ConfigIssue
    }
  | { readonly kind: 'invalid'; readonly issues: readonly ConfigIssue[] }
