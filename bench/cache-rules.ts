import type { Endpoint } from '../src/core/endpoint.ts'
import type { Action } from '../src/core/events.ts'
import type { Random } from '../src/core/random.ts'
import { hashText, rendezvousWeight } from '../src/core/rendezvous.ts'
import type { RequestFacts } from '../src/core/request.ts'
import { Scheduler, type SchedulerPolicy } from '../src/core/scheduler.ts'
import type { Decider } from '../src/simulator/simulation.ts'

/** Something that decides where requests go. */
export interface Rule {
  readonly name: string
  readonly decider: (policy: SchedulerPolicy, random: Random) => Decider
}

type Choice = (
  request: RequestFacts,
  places: readonly Endpoint[],
  inFlight: readonly number[],
  random: Random,
) => number

const choices: Readonly<Record<string, Choice>> = {
  random: (_request, places, _inFlight, random) => Math.floor(random.next() * places.length),
  'least load': (_request, _places, inFlight) => inFlight.indexOf(Math.min(...inFlight)),
  'prefix hash': ({ affinity = '' }, places) => {
    const weights = places.map(({ id }) => rendezvousWeight(hashText(affinity), hashText(id)))
    return weights.indexOf(Math.max(...weights))
  },
}

/** Dispatches each request at once to where a choice says; knows nothing of failures, which this bench has none of. */
function simpleDecider(choice: Choice, random: Random): Decider {
  let places: readonly Endpoint[] = []
  let inFlight: number[] = []
  const placeOf = new Map<number, number>()
  let attempts = 0
  return {
    handle(event): readonly Action[] {
      if (event.kind === 'endpoints-changed') {
        places = event.endpoints
        inFlight = places.map(() => 0)
      } else if (event.kind === 'request-arrived') {
        const at = choice(event.request, places, inFlight, random)
        inFlight[at] = (inFlight[at] as number) + 1
        const attempt = { id: ++attempts, requestId: event.request.id, number: 1, endpoint: places[at] as Endpoint }
        placeOf.set(attempt.id, at)
        return [{ kind: 'dispatch', attempt }]
      } else if (event.kind === 'attempt-completed') {
        const at = placeOf.get(event.attemptId) as number
        inFlight[at] = (inFlight[at] as number) - 1
        placeOf.delete(event.attemptId)
      }
      return []
    },
    nextWakeMs: () => undefined,
  }
}

export const rules: readonly Rule[] = [
  ...Object.entries(choices).map(([name, choice]) => ({
    name,
    decider: (_policy: SchedulerPolicy, random: Random) => simpleDecider(choice, random),
  })),
  { name: 'spillway', decider: (policy, random) => new Scheduler(policy, random) },
]
