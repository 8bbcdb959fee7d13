import { z } from 'zod'
import { serviceTiers } from '../core/service-class.ts'
import type { Distribution } from './distribution.ts'

/** The shape of a scenario. Strict everywhere: a key that is not known is a mistake. */

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

const duration = z
  .string({ error: 'a time such as 500ms, 90s, 10m or 24h is expected' })
  .regex(/^\d+(\.\d+)?(ms|s|m|h|d)$/, 'a time such as 500ms, 90s, 10m or 24h is expected')
  .transform((text) => {
    const [, number = '', unit = ''] = /^([\d.]+)([a-z]+)$/.exec(text) ?? []
    return Number(number) * (unitsMs[unit] as number)
  })

const name = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/, 'use letters, digits and . _ : / - (a letter or digit first)')
const country = z
  .string({ error: 'a country code in quotes is expected, such as "NO"' })
  .regex(/^[A-Z]{2}$/, 'a country code of two capital letters is expected, such as "NO"')
const share = z.number().min(0).max(1)
const positive = z.number().positive()
const count = z.number().int().min(0)

const prices = z.strictObject({ input: z.number().min(0), cachedInput: z.number().min(0), output: z.number().min(0) })

const latency = z.strictObject({
  first: z.strictObject({
    base: z.number().min(0),
    perToken: z.number().min(0),
    perRequest: z.number().min(0),
    perTokenAndRequest: z.number().min(0),
  }),
  each: z.strictObject({ base: z.number().min(0), perRequest: z.number().min(0), perKvToken: z.number().min(0) }),
})

const tokens = z
  .union(
    [
      z.number().int().min(0),
      z.strictObject({ mean: positive }),
      z.strictObject({
        quantiles: z
          .array(z.tuple([share, z.number().min(0)]))
          .min(2)
          .refine(
            (list) =>
              list[0]?.[0] === 0 &&
              list.at(-1)?.[0] === 1 &&
              list.every(
                ([at, value], i) => i === 0 || (at > (list[i - 1]?.[0] ?? 0) && value >= (list[i - 1]?.[1] ?? 0)),
              ),
            { error: 'shares must rise from 0 to 1, and the values with them' },
          ),
      }),
    ],
    { error: 'a number, { mean: N } or { quantiles: [[0, N], …, [1, N]] } is expected' },
  )
  .transform((value): Distribution => value)

const pool = z.strictObject({
  model: name,
  subProcessor: name,
  country,
  region: name.optional(),
  replicas: z.number().int().min(1).max(100_000),
  /** `spillway`: every replica is an endpoint of its own. `vendor`: one endpoint, and the vendor spreads the load. */
  balancedBy: z.enum(['spillway', 'vendor']).default('vendor'),
  concurrencyMax: z.number().int().min(1).max(4_096).default(64),
  accelerator: name.optional(),
  weights: name.optional(),
  gpus: z.number().int().min(1).default(8),
  latency: latency.optional(),
  /** From the gateway and back, where the measured times between countries do not say it. */
  roundTrip: duration.optional(),
  cacheTokens: count.default(0),
  coldStart: duration.default(180_000),
  spot: z.strictObject({ lostPerHour: z.number().min(0), backAfter: duration }).optional(),
  tokensPerMinute: positive.optional(),
  usdPerGpuHour: z.number().min(0).optional(),
  usdPerMillionTokens: prices.optional(),
})

const anyOr = (item: z.ZodType<string>) =>
  z.union([z.literal('any'), z.array(item)], { error: 'a list, or the word any, is expected' })

const tenantGroup = z.strictObject({
  plan: name,
  country,
  count: z.number().int().min(1).max(100_000).default(1),
  countries: anyOr(country),
  subProcessors: anyOr(name),
  allowSubstitutes: z.boolean().default(false),
})

const prefixes = z.strictObject({
  share: share.default(1),
  count: z.number().int().min(1),
  tokens: z.number().int().min(1),
})

const tier = z.enum(serviceTiers, { error: `a tier is one of ${serviceTiers.join(', ')}` })

const demandOf = {
  model: name,
  tier: tier.default('default'),
  /** From each request's arrival, in place of its class's. */
  deadline: duration.optional(),
  /** How the requests fall to groups of tenants: weights by name. */
  tenants: z.record(name, positive).refine((groups) => Object.keys(groups).length > 0, 'name a group of tenants'),
}

const demand = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({
      kind: z.literal('steady'),
      ...demandOf,
      requestsPerSecond: positive,
      variation: z.number().min(0).max(20).default(1),
      /** Factors over time: `[time, factor]`, straight lines between; `day` is the shape of a working day. */
      curve: z.union([z.literal('day'), z.array(z.tuple([duration, z.number().min(0)])).min(1)]).optional(),
      input: tokens,
      output: tokens,
      prefixes: prefixes.optional(),
    }),
    z.strictObject({
      kind: z.literal('trace'),
      ...demandOf,
      file: z.string().min(1),
      speed: positive.default(1),
      from: duration.default(0),
      repeat: z.boolean().default(false),
    }),
    z.strictObject({
      kind: z.literal('clients'),
      ...demandOf,
      file: z.string().min(1),
      tokens: z.string().min(1),
      rate: positive.default(1),
      from: duration.default(0),
    }),
  ],
  { error: 'kind must be one of steady, trace, clients' },
)

const where = z
  .strictObject({
    pools: z.array(name).min(1).optional(),
    subProcessor: name.optional(),
    country: country.optional(),
    region: name.optional(),
  })
  .prefault({})

const during = { at: duration, for: duration, where }

export const faultSchema = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({
      kind: z.literal('loss'),
      ...during,
      share: share.default(1),
      /** Nothing answers, not even a refusal: connections time out. */
      silent: z.boolean().default(false),
      /** What was lost comes back cold. */
      restart: z.boolean().default(false),
    }),
    z.strictObject({
      kind: z.literal('rolling-loss'),
      ...during,
      share: share.default(1),
      reimagedPerMinute: positive,
    }),
    z.strictObject({ kind: z.literal('control-plane'), ...during, refused: share.default(0) }),
    z.strictObject({ kind: z.literal('cannot-launch'), ...during }),
    z.strictObject({ kind: z.literal('slow'), ...during, share: share.default(1), times: z.number().min(1) }),
    z.strictObject({ kind: z.literal('errors'), ...during, share }),
    z.strictObject({ kind: z.literal('rate-limits'), ...during, share, retryAfter: duration.optional() }),
    z.strictObject({ kind: z.literal('quota-cut'), ...during, factor: share }),
    z.strictObject({ kind: z.literal('stall'), ...during, share: share.default(1) }),
    z.strictObject({ kind: z.literal('spot-wave'), ...during, share: share.default(1) }),
    z.strictObject({ kind: z.literal('surge'), at: duration, for: duration, times: positive }),
    z.strictObject({ kind: z.literal('retry-storm'), at: duration, for: duration, retries: count, backoff: duration }),
  ],
  {
    error:
      'kind must be one of loss, rolling-loss, control-plane, cannot-launch, slow, errors, rate-limits, quota-cut, stall, spot-wave, surge, retry-storm',
  },
)

export const scenarioSchema = z.strictObject({
  name: z.string().min(1).max(200),
  source: z.string().optional(),
  seed: z.number().int().min(0).max(0xffff_ffff).default(1),
  duration,
  warmUp: duration.default(0),
  gateway: z.strictObject({
    country,
    attemptsMax: z.number().int().min(1).max(10).default(3),
    queue: duration.default(10_000),
    queueLengthMax: count.default(10_000),
    firstByte: duration.default(60_000),
    streamIdle: duration.default(60_000),
    connect: duration.default(5_000),
  }),
  clients: z
    .strictObject({
      retries: count.max(20).default(0),
      backoff: duration.default(1_000),
      /** For the first token, each time it asks. */
      patience: duration.default(60_000),
      /** So long after it first asked, a client asks no more; without it, as often as `retries` says. */
      giveUp: duration.optional(),
    })
    .prefault({}),
  models: z.record(
    name,
    z.strictObject({
      routing: z.enum(['interactive', 'cheapest', 'spill-over', 'pinned']).default('interactive'),
      substitutes: z.boolean().default(false),
    }),
  ),
  plans: z.record(
    name,
    z.strictObject({
      priority: z.number().int(),
      firstToken: duration.default(5_000),
      tiers: z
        .partialRecord(
          tier,
          z.strictObject({
            priority: z.number().int().optional(),
            floor: share.default(0),
            deadline: duration.optional(),
            weight: z.number().min(0.001).max(1_000).default(1),
            saturationMax: positive.optional(),
          }),
        )
        .default({}),
    }),
  ),
  tenants: z.record(name, tenantGroup),
  pools: z.record(name, pool),
  demand: z.array(demand).min(1, 'a scenario needs demand'),
  faults: z.array(faultSchema).default([]),
})

/** A whole scenario, times in ms. */
export type Scenario = z.output<typeof scenarioSchema>
export type PoolSpec = Scenario['pools'][string]
export type DemandSpec = Scenario['demand'][number]
export type Fault = Scenario['faults'][number]
export type FaultPlace = z.output<typeof where>
