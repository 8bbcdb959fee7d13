/** What a caller may ask for with `service_tier`, as OpenAI names it, and `batch` for work that nobody waits for. */
export type ServiceTier = 'priority' | 'default' | 'flex' | 'batch'

export const serviceTiers: readonly ServiceTier[] = ['priority', 'default', 'flex', 'batch']

/**
 * How the requests of one plan and tier are served against all others of their model. Made by the host from its
 * configuration, never from what a caller says of itself.
 */
export interface ServiceClass {
  /** `PLAN/TIER`: requests under equal names are one class. */
  readonly name: string
  readonly tier: ServiceTier
  /** Larger is served first. */
  readonly priority: number
  /** Share (0 to 1) of a model's requests in flight that it never falls below while it waits. */
  readonly floor: number
  /** What one tenant gets of a class's tokens against another: twice the weight, twice the tokens. Above 0. */
  readonly weight: number
  /** It is given places only while their saturation is below this; absent where any saturation will do. */
  readonly saturationMax?: number
}

/** What a configuration says of one tier of a plan; what it leaves out is taken from the plan. */
export interface TierTerms {
  readonly priority?: number | undefined
  readonly floor?: number | undefined
  readonly weight?: number | undefined
  readonly saturationMax?: number | undefined
  /** From a request's arrival: see `timesOf`. */
  readonly deadlineMs?: number | undefined
}

/** A class, and by when its requests are to be served. */
export interface ServiceTerms {
  readonly serviceClass: ServiceClass
  readonly deadlineMs: number | undefined
}

/** Of the floors of all classes. A little more than one is what sums of decimal fractions come to. */
export const floorSumMax = 1 + 1e-9

/** Between the plans of the default configuration, which are ten apart. */
const priorityTierAbove = 5
/** Below every plan whose priority is within a thousand: flex gives way to all that is not, batch to flex. */
const flexBelow = 1_000
const batchBelow = 2_000
/** The official clients give a request up after ten minutes. */
const flexDeadlineMs = 600_000
const batchDeadlineMs = 86_400_000

/** Work that nobody waits for leaves room at every place, so that who is waited for need not wait for it to end. */
const ceilings: Partial<Record<ServiceTier, number>> = { flex: 0.9, batch: 0.8 }

const offsets: Readonly<Record<ServiceTier, number>> = {
  priority: priorityTierAbove,
  default: 0,
  flex: -flexBelow,
  batch: -batchBelow,
}

/** The class of one tier of a plan. */
export function serviceTermsOf(
  plan: string,
  planPriority: number,
  tier: ServiceTier,
  { priority, floor, weight, deadlineMs, saturationMax = ceilings[tier] }: TierTerms = {},
): ServiceTerms {
  const deadlines: Partial<Record<ServiceTier, number>> = { flex: flexDeadlineMs, batch: batchDeadlineMs }
  return {
    serviceClass: {
      name: `${plan}/${tier}`,
      tier,
      priority: priority ?? planPriority + offsets[tier],
      floor: floor ?? 0,
      weight: weight ?? 1,
      ...(saturationMax !== undefined && { saturationMax }),
    },
    deadlineMs: deadlineMs ?? deadlines[tier],
  }
}

/** Does somebody wait for the first token, or only for the whole? */
export function isInteractive(tier: ServiceTier): boolean {
  return tier === 'default' || tier === 'priority'
}

/**
 * How long a request may wait for room, and until when, from its arrival, it may be dispatched, ms. Interactive ones
 * wait no longer than `queueMs`, and without a deadline of their class one first try that is given up at its limit
 * leaves time for another elsewhere. Others wait until their deadline.
 */
export function timesOf(
  { serviceClass, deadlineMs }: ServiceTerms,
  queueMs: number,
  firstByteMs: number,
): { readonly waitMsMax: number; readonly deadlineMs: number } {
  if (deadlineMs === undefined) return { waitMsMax: queueMs, deadlineMs: queueMs + firstByteMs }
  const waitMsMax = isInteractive(serviceClass.tier) ? Math.min(queueMs, deadlineMs) : deadlineMs
  return { waitMsMax, deadlineMs }
}
