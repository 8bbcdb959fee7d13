import type { TenantId } from './ids.ts'
import type { HeapItem } from './indexed-heap.ts'
import type { RequestFacts, TokenCount } from './request.ts'
import type { ServiceClass } from './service-class.ts'

/** What a token of output takes of a replica against one of input: between the 2 of VTC and the 4 of most price lists. */
export const outputWeight = 3
/**
 * No class that waits gets less of an hour's tokens, unless the floors of others forbid; all classes together at most
 * half. An hour, for a class that is served well all day may give way through a bad half of one.
 */
const leastShareDefault = 0.05
const leastSharesMax = 0.5
const hourMs = 3_600_000
/** Learned shares of an upper bound follow the last dozen of a tenant's requests, and the last hundred of a model's. */
const tenantLearning = 1 / 8
const modelLearning = 1 / 64
/** So many dispatches of a class that waits say how fast its line moves. */
const paceSamplesMin = 16
const paceLearning = 1 / 16
/** Above so many tenants of a class, those are forgotten of whom nothing is worth knowing. */
const flowsKeptMin = 1_024

/** The requests of one tenant in one class of a model: what is shared fairly is shared among these. */
export interface Flow {
  readonly account: ClassAccount
  readonly tenant: TenantId
  /** Of the order in which flows came; tells equals apart. */
  readonly order: number
  /** Tokens it was given, by its weight; the least is served first. Lifted when it comes back from having had no line. */
  counter: number
  /** First tries that wait. */
  waiting: number
  running: number
  /** What its requests really take, against their upper bound. */
  taken: number
  /** Where it has a line: its place there depends on `counter`. */
  readonly lines: FlowLine[]
}

/** The part of a flow's line that may go to the same places. */
export interface FlowLine extends HeapItem {
  readonly flow: Flow
  /** Its flow's counter has changed. */
  rekey(): void
}

/** One class of a model: how much of it waits and runs, and what it is owed. */
export class ClassAccount {
  readonly serviceClass: ServiceClass
  readonly flows = new Map<TenantId, Flow>()
  /** Flows with first tries that wait. */
  flowsWaiting = 0
  /** Requests that wait, retries included. */
  waiting = 0
  inFlight = 0
  /** Tokens of its least share that others were given while it waited, less what it had. */
  owed = 0
  #flowsKeptMax = flowsKeptMin
  #waitingSinceMs = 0
  #lastDispatchMs = 0
  #gapMs = 0
  #gaps = 0

  constructor(serviceClass: ServiceClass) {
    this.serviceClass = serviceClass
  }

  get priority(): number {
    return this.serviceClass.priority
  }

  /** Time between two dispatches while its line has not been empty, ms; undefined until that is known. */
  paceMs(nowMs: number): number | undefined {
    if (this.waiting === 0 || this.#gaps < paceSamplesMin) return undefined
    return Math.max(this.#gapMs, nowMs - this.#lastDispatchMs)
  }

  waits(nowMs: number): void {
    if (this.waiting++ > 0) return
    this.#waitingSinceMs = nowMs
    this.#gaps = 0
  }

  waitsNoMore(): void {
    if (--this.waiting === 0) this.owed = Math.min(this.owed, 0)
  }

  /** Somebody of a line that is there was given a place. */
  moves(nowMs: number): void {
    const gapMs = nowMs - (this.#gaps === 0 ? this.#waitingSinceMs : this.#lastDispatchMs)
    this.#gaps++
    this.#gapMs += (gapMs - this.#gapMs) * Math.max(paceLearning, 1 / this.#gaps)
    this.#lastDispatchMs = nowMs
  }

  /** Forgets tenants that are no more than new ones: nothing open, and no more had than those who are served now. */
  sweep(served: number): void {
    if (this.flows.size < this.#flowsKeptMax) return
    for (const [tenant, { waiting, running, counter }] of this.flows)
      if (waiting === 0 && running === 0 && counter <= served) this.flows.delete(tenant)
    this.#flowsKeptMax = Math.max(flowsKeptMin, 2 * this.flows.size)
  }
}

/** What the order needs to know of a request. */
export interface Ordered {
  readonly flow: Flow
  readonly deadlineMs: number
  /** Order of arrival in this scheduler. */
  readonly sequence: number
  /** Tries made. */
  readonly tries: number
}

/**
 * Who of a model's requests comes first. In this order: classes below their contracted floor; classes that were long
 * given less than the least share; larger priority; retries, by arrival, since they were charged when they were first
 * tried; tenants with the fewest tokens by their weight; within a tenant the earliest deadline.
 *
 * Fair shares are those of VTC (Sheng et al., OSDI 2024) with the start tags of SFQ (Goyal, Vin and Cheng, 1996): a
 * request is charged input + w · output when it is dispatched, by what requests like it took, and the difference when
 * it has ended. A tenant that comes back begins where those are who are served now, so that nobody saves up. Two
 * tenants of a priority that both wait for the same places differ by no more than 2 · max(request) / weight.
 */
export class FairShares {
  readonly #leastShare: number
  /** Largest priority first. */
  readonly #accounts: ClassAccount[] = []
  readonly #byName = new Map<string, ClassAccount>()
  /** By priority: the counter of whom was served last, before the charge; never runs back. */
  readonly #served = new Map<number, number>()
  #flows = 0
  #inFlight = 0
  #taken = 1
  #chargeMean = 0
  /** Charged in the last hour, as a decaying sum. */
  #hourTokens = 0
  #chargedAtMs = 0

  /** `leastShare`: of the tokens, for every class that waits, from 0 (larger priorities may take all) to 1. */
  constructor(leastShare = leastShareDefault) {
    this.#leastShare = leastShare
  }

  /** All classes that were seen, largest priority first. */
  get accounts(): readonly ClassAccount[] {
    return this.#accounts
  }

  /** The tokens of a usual request. */
  get chargeMean(): number {
    return this.#chargeMean
  }

  /** Changes nothing: undefined where nothing is known of the class. */
  knownAccount(serviceClass: ServiceClass): ClassAccount | undefined {
    const account = this.#byName.get(serviceClass.name)
    return account !== undefined && isSame(account.serviceClass, serviceClass) ? account : undefined
  }

  flowOf({ serviceClass, tenant }: RequestFacts): Flow {
    const account = this.#accountOf(serviceClass)
    let flow = account.flows.get(tenant)
    if (flow === undefined) {
      account.sweep(this.servedAt(account.priority))
      const zeros = { counter: 0, waiting: 0, running: 0 }
      flow = { account, tenant, order: ++this.#flows, taken: this.#taken, lines: [], ...zeros }
      account.flows.set(tenant, flow)
    }
    if (flow.waiting === 0) this.#lift(flow, this.servedAt(account.priority))
    return flow
  }

  /** Whether class `a`, then tenant, then deadline bids `a` go before `b`. A strict order at any one moment. */
  comesBefore(a: Ordered, b: Ordered): boolean {
    const first = a.flow
    const second = b.flow
    if (first.account !== second.account) {
      const byClass = this.compareClasses(first.account, second.account)
      if (byClass !== 0) return byClass < 0
    }
    if (a.tries > 0 !== b.tries > 0) return a.tries > 0
    if (a.tries > 0) return a.sequence < b.sequence
    if (first !== second) return flowComesBefore(first, second)
    return a.deadlineMs !== b.deadlineMs ? a.deadlineMs < b.deadlineMs : a.sequence < b.sequence
  }

  /** Below 0 where `a` goes before `b`, 0 where their tenants share. */
  compareClasses(a: ClassAccount, b: ClassAccount): number {
    return this.#rank(a) - this.#rank(b) || b.priority - a.priority
  }

  /** Share of the model's slots, or of its tokens, that the class has for certain while it waits. */
  certainShare({ serviceClass }: ClassAccount): number {
    return Math.max(serviceClass.floor, this.#leastShare)
  }

  /** An attempt begins. Gives what its request, of so many tokens at most, is charged if it is the first. */
  dispatched({ account, taken }: Flow, tokens: TokenCount, fromLine: boolean, nowMs: number): number {
    account.inFlight++
    this.#inFlight++
    const charge = weighted(tokens) * taken
    if (fromLine) account.moves(nowMs)
    this.#hourTokens = this.#hourTokens * Math.max(0, 1 - (nowMs - this.#chargedAtMs) / hourMs) + charge
    this.#chargedAtMs = nowMs
    this.#age(account, charge)
    return charge
  }

  /** The first attempt of a request begins: its tenant has had so much more. */
  charge(flow: Flow, charge: number): void {
    const { account } = flow
    flow.running++
    if (flow.counter > this.servedAt(account.priority)) this.#served.set(account.priority, flow.counter)
    this.#chargeMean += (charge - this.#chargeMean) * (this.#chargeMean === 0 ? 1 : modelLearning)
    flow.counter += charge / account.serviceClass.weight
    moved(flow)
  }

  /** An attempt ended. */
  released({ account }: Flow): void {
    account.inFlight--
    this.#inFlight--
  }

  /** A request that was charged ended; with so many tokens, where that is known. */
  settled(flow: Flow, charged: number, tokens: TokenCount, used: TokenCount | undefined): void {
    flow.running--
    if (used === undefined) return
    const took = weighted(used)
    if (took !== charged) {
      flow.counter += (took - charged) / flow.account.serviceClass.weight
      moved(flow)
    }
    const bound = weighted(tokens)
    if (took === 0 || bound === 0) return
    flow.taken += (took / bound - flow.taken) * tenantLearning
    this.#taken += (took / bound - this.#taken) * modelLearning
  }

  #rank(account: ClassAccount): number {
    const { floor } = account.serviceClass
    if (floor > 0 && account.inFlight < floor * (this.#inFlight + 1)) return 0
    return account.owed > 0 && account.owed >= this.#chargeMean ? 1 : 2
  }

  #age(served: ClassAccount, charge: number): void {
    let waiting = 0
    for (const account of this.#accounts) if (account.waiting > 0) waiting++
    const share = Math.min(this.#leastShare, leastSharesMax / waiting)
    served.owed = Math.max(-this.#leastShare * this.#hourTokens, served.owed - charge)
    for (const account of this.#accounts)
      if (account.waiting > 0) account.owed = Math.min(this.#chargeMean, account.owed + share * charge)
  }

  /** Where the tenants of a priority stand who are served now. */
  servedAt(priority: number): number {
    return this.#served.get(priority) ?? 0
  }

  #lift(flow: Flow, served: number): void {
    if (flow.counter < served) flow.counter = served
  }

  #accountOf(serviceClass: ServiceClass): ClassAccount {
    const known = this.knownAccount(serviceClass)
    if (known !== undefined) return known
    // A reload may have given the same name other figures: who is open keeps those it came with.
    for (let at = this.#accounts.length - 1; at >= 0; at--) {
      const { waiting, inFlight, serviceClass: other } = this.#accounts[at] as ClassAccount
      if (other.name === serviceClass.name && waiting === 0 && inFlight === 0) this.#accounts.splice(at, 1)
    }
    const account = new ClassAccount(serviceClass)
    this.#byName.set(serviceClass.name, account)
    this.#accounts.push(account)
    this.#accounts.sort((a, b) => b.priority - a.priority)
    return account
  }
}

/** Fewer tokens by weight first; of equals who came first. */
export function flowComesBefore(a: Flow, b: Flow): boolean {
  return a.counter !== b.counter ? a.counter < b.counter : a.order < b.order
}

function moved({ lines }: Flow): void {
  for (const line of lines) line.rekey()
}

function weighted({ input, output }: TokenCount): number {
  return input + outputWeight * output
}

function isSame(a: ServiceClass, b: ServiceClass): boolean {
  return a === b || (a.priority === b.priority && a.floor === b.floor && a.weight === b.weight)
}
