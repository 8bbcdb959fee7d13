import type { RoutingPreset } from '../endpoint.ts'
import type { RoutingPolicy } from './policy.ts'
import { fastestFirstToken, leastLoaded, lowestPrice, samePlace } from './scorers.ts'

/** What users choose by name is built from what they could have built. */
export const presets: Readonly<Record<RoutingPreset, RoutingPolicy>> = {
  interactive: {
    scorers: [
      { scorer: fastestFirstToken, weight: 2 },
      { scorer: leastLoaded, weight: 1 },
      // Enough to hold a conversation while its place is as good as the others, too little to hold it at a slow one.
      { scorer: samePlace, weight: 0.2 },
    ],
    inOrder: false,
    usesAffinity: true,
  },
  cheapest: {
    scorers: [
      { scorer: lowestPrice, weight: 10 },
      { scorer: leastLoaded, weight: 0.1 },
      { scorer: fastestFirstToken, weight: 0.1 },
    ],
    inOrder: false,
    usesAffinity: false,
  },
  pinned: { scorers: [], inOrder: true, usesAffinity: false },
}
