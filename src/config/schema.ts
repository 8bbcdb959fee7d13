import { z } from 'zod'
import { brownoutFeatures } from '../core/brownout.ts'
import { serviceTiers } from '../core/service-class.ts'
import { isCountryCode, meantCountry } from './countries.ts'

/**
 * The shape of `spillway.yaml`. Strict everywhere: a key that is not known is a mistake, since a limit that is spelled
 * wrong is a limit that is off. What spans several places (references, clashes) is checked in `parse.ts`.
 */

const word = (marks: string) =>
  z
    .string()
    .regex(
      new RegExp(`^[A-Za-z0-9][A-Za-z0-9${marks.replaceAll(' ', '')}-]{0,127}$`),
      `use letters, digits and ${marks} - (at most 128, a letter or digit first)`,
    )
const name = word('. _ : /')
/** An endpoint is called MODEL/PROVIDER: were a slash allowed in both, two could have one name. */
const providerName = word('. _ :')
const subProcessor = name.refine((text) => text !== 'any', { error: 'any stands alone, without a list' })
const text = (charsMax: number) => z.string().min(1).max(charsMax)
const filePath = text(4_096).refine((path) => !path.includes('\0'), { error: 'a path cannot hold a zero byte' })
const ms = z.number().int().min(1).max(86_400_000)
const bytes = z.number().int().min(1).max(1_099_511_627_776)
const usd = z.number().min(0).max(1_000_000)

const country = z
  .string({ error: 'a country code in quotes is expected, such as "NO": unquoted, some readers take NO for false' })
  .refine(isCountryCode, {
    error: ({ input }) => {
      if (input === 'any') return 'any stands alone, without a list'
      const meant = typeof input === 'string' ? meantCountry(input) : undefined
      return meant === undefined ? 'not an ISO 3166-1 alpha-2 country code' : `write "${meant}"`
    },
  })
  .describe('ISO 3166-1 alpha-2 code')

const secret = z
  .union([z.strictObject({ env: text(256) }), z.strictObject({ file: filePath })], {
    error: 'a secret is never in this file: name it as { env: VARIABLE } or { file: PATH }',
  })
  .describe('Where a secret lies: { env: VARIABLE } or { file: PATH }')

const baseUrl = z.url({ protocol: /^https?$/, error: 'an http:// or https:// address is expected' }).refine(
  (address) => {
    const [, rest = ''] = address.split('://')
    return !/[?#]/.test(rest) && !rest.split('/')[0]?.includes('@')
  },
  { error: 'an address without user, query and fragment is expected' },
)

const listen = z.strictObject({
  host: text(256).default('127.0.0.1'),
  port: z.number().int().min(0).max(65_535),
})

const place = { subProcessor: subProcessor.describe('The legal entity that processes there'), country }

const prices = z
  .strictObject({ input: usd, cachedInput: usd.optional(), output: usd })
  .describe('US dollars for a million tokens')

export const providerSchema = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({
      kind: z.literal('openai-compatible'),
      baseUrl,
      apiKey: secret.optional(),
      ...place,
    }),
    z.strictObject({
      kind: z.literal('azure'),
      baseUrl,
      apiKey: secret.optional(),
      credentials: z.literal('entra').optional(),
      path: z.enum(['deployment', 'v1']).default('deployment'),
      apiVersion: text(64).default('2024-10-21'),
      ...place,
    }),
    z.strictObject({
      kind: z.literal('vertex'),
      project: name,
      location: name,
      baseUrl: baseUrl.optional(),
      credentials: secret.optional(),
      ...place,
    }),
    z.strictObject({
      kind: z.literal('bedrock'),
      region: name,
      baseUrl: baseUrl.optional(),
      credentials: secret.optional(),
      ...place,
    }),
  ],
  { error: 'kind must be one of openai-compatible, azure, vertex, bedrock' },
)

export const endpointSchema = z.strictObject({
  provider: providerName,
  upstreamModel: text(256),
  concurrencyMax: z.number().int().min(1).max(100_000).default(64),
  kvTokens: z.number().int().min(1).optional(),
  noLoadFirstToken: z
    .strictObject({ baseMs: z.number().min(0).max(600_000), msPerInputToken: z.number().min(0).max(1_000) })
    .optional(),
  tokensPerMinute: z.number().int().min(1).optional(),
  requestsPerMinute: z.number().int().min(1).optional(),
  rampFromTokensPerMinute: z.number().int().min(1).optional(),
  usdPerMillionTokens: prices.optional(),
})

export const modelSchema = z.strictObject({
  endpoints: z.array(endpointSchema).min(1, 'a model needs at least one endpoint'),
  routing: z.enum(['interactive', 'cheapest', 'spill-over', 'pinned']).default('interactive'),
  substitutes: z.boolean().default(false),
  outputTokensDefault: z.number().int().min(1).max(10_000_000).default(4_096),
})

const anyOr = (items: z.ZodType<string>, what: string) =>
  z.union([z.literal('any'), z.array(items)], { error: `a list of ${what}, or the word any, is expected` }).default([])

const tenantLimits = {
  tokensPerMinute: z.number().int().min(1).optional(),
  requestsPerMinute: z.number().int().min(1).optional(),
  concurrentRequests: z.number().int().min(1).optional(),
  budgetUsdPerMonth: z.number().min(0).max(1_000_000_000).optional(),
}

export const tenantSchema = z.strictObject({
  plan: name,
  countries: anyOr(country, 'country codes'),
  subProcessors: anyOr(subProcessor, 'sub-processors'),
  allowSubstitutes: z.boolean().default(false),
  ...tenantLimits,
  keys: z.array(secret).default([]),
})

const priority = z.number().int().min(-1_000_000).max(1_000_000)

const tierSchema = z.strictObject({
  priority: priority.optional(),
  floor: z.number().min(0).max(1).default(0),
  deadlineMs: ms.optional(),
  weight: z.number().min(0.001).max(1_000).default(1),
  saturationMax: z.number().min(0.01).max(100).optional(),
})

const brownoutStepSchema = z.strictObject({
  above: z.number().min(0.01).max(10),
  models: z.record(name, name).default({}),
  outputTokensMax: z.number().int().min(1).max(10_000_000).optional(),
  without: z
    .array(z.enum(brownoutFeatures, { error: `a feature is one of ${brownoutFeatures.join(', ')}` }))
    .default([]),
  waitMs: ms.optional(),
  refuse: z.boolean().default(false),
})

const planSchema = z.strictObject({
  priority,
  tiers: z
    .partialRecord(z.enum(serviceTiers, { error: `a tier is one of ${serviceTiers.join(', ')}` }), tierSchema)
    .default({}),
  otherTiers: z.enum(['default', 'refuse']).default('default'),
  brownout: z.array(brownoutStepSchema).max(20).default([]),
})

/** A set without anything in it is what a template makes whose source was lost: it must not empty a running gateway. */
function named<Schema extends z.ZodType>(names: z.ZodString, schema: Schema, what: string) {
  return z
    .record(names, schema)
    .refine((set) => Object.keys(set).length > 0, { error: `at least one ${what} is needed` })
}

export const defaultListen = { host: '127.0.0.1', port: 8420 }
export const defaultMetrics = { host: '127.0.0.1', port: 9464 }
export const defaultPlans = {
  enterprise: { priority: 30 },
  team: { priority: 20 },
  edu: { priority: 20 },
  api: { priority: 10 },
}

export const configSchema = z
  .strictObject({
    listen: listen.default(defaultListen),
    metrics: z
      .union([z.literal('off'), listen], { error: '{ host, port } or the word off is expected' })
      .default(defaultMetrics),
    tls: z.strictObject({ cert: filePath, key: filePath }).optional(),
    location: z.strictObject({ country, subProcessor }).describe('Where Spillway itself runs'),
    dataDir: filePath.default('./data'),
    limits: z
      .strictObject({
        firstByteMs: ms.default(60_000),
        streamIdleMs: ms.default(60_000),
        requestHeadMs: ms.default(10_000),
        requestBodyMs: ms.default(30_000),
        bodyBytesMax: bytes.default(33_554_432),
        answerBytesMax: bytes.default(33_554_432),
        buffersBytesMax: bytes.default(268_435_456),
        queueMs: ms.default(10_000),
        queueLengthMax: z.number().int().min(0).max(1_000_000).default(10_000),
        attemptsMax: z.number().int().min(1).max(10).default(3),
        connectMs: ms.default(5_000),
        drainMs: ms.default(300_000),
        connectionsMax: z.number().int().min(1).max(1_000_000).default(20_000),
      })
      .prefault({}),
    log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info') }).prefault({}),
    telemetry: z.strictObject({ otlpEndpoint: z.url().optional() }).prefault({}),
    journal: z
      .strictObject({
        segmentBytesMax: z.number().int().min(65_536).max(1_073_741_824).default(268_435_456),
        retentionDays: z.number().min(0).max(3_650).default(35),
      })
      .prefault({}),
    eventLog: filePath.optional(),
    providers: named(providerName, providerSchema, 'provider'),
    models: named(name, modelSchema, 'model'),
    plans: named(name, planSchema, 'plan').prefault(defaultPlans),
    tenants: z.record(name, tenantSchema).default({}),
  })
  .meta({ title: 'spillway.yaml', description: 'Configuration of Spillway' })

export type ParsedConfig = z.output<typeof configSchema>
