import type { RoutingPreset } from '../endpoint.ts'
import type { RoutingPolicy } from './policy.ts'

/** What users choose by name. */
export const presets: Readonly<Record<RoutingPreset, RoutingPolicy>> = {
  interactive: {
    kind: 'best',
    // Same place: enough to hold a conversation while its place is as good as the others, too little to hold it at a
    // slow one.
    weights: { fastFirstToken: 2, lightLoad: 1, lowPrice: 0, samePlace: 0.2 },
  },
  cheapest: {
    kind: 'best',
    weights: { fastFirstToken: 0.1, lightLoad: 0.1, lowPrice: 10, samePlace: 0 },
  },
  'spill-over': { kind: 'spill-over' },
  pinned: { kind: 'in-order' },
}
