import { performance } from 'node:perf_hooks'
import type { Clock } from '../core/clock.ts'

/** The machine's clocks. `nowMs` is monotonic: a wall clock that jumps moves no timeout (P35). */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
}
