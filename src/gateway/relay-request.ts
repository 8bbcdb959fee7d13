import type { Operation } from '../adapters/providers/provider.ts'
import type { ServiceTerms } from '../core/service-class.ts'
import type { BrownoutWords } from './brownout.ts'
import type { HttpExchange } from './http/exchange.ts'
import type { Caller } from './key-table.ts'
import type { Access } from './plane.ts'
import type { BodyFacts } from './request-body.ts'

/** A request that is to be relayed: who asks for what, and what they may. */
export interface RelayRequest {
  readonly id: string
  readonly exchange: HttpExchange
  readonly operation: Operation
  readonly caller: Caller
  readonly access: Access
  readonly body: BodyFacts
  /** How it is served: its tier as asked for where its plan has that, else the default one. */
  readonly terms: ServiceTerms
  /** What it does without because its model is short; empty for most. */
  readonly brownout: BrownoutWords
  /** How long it may wait for room, where that is longer than its class may; else 0. */
  readonly waitMs: number
  readonly arrivedMs: number
}
