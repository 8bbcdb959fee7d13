import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { EndpointHealth } from '../core/events.ts'
import type { Failure } from '../core/failure.ts'
import type { BrownoutReading } from './brownout.ts'
import type { Gateway } from './gateway.ts'
import { genAiBounds, genAiOperation } from './gen-ai.ts'
import type { Observer, RequestSummary } from './observer.ts'
import type { ServedEndpoint } from './plane.ts'
import { Counter, type Family, Histogram, Reading } from './prometheus.ts'

const overheadBounds = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1]
const healths: readonly EndpointHealth[] = ['open', 'ejected', 'probing', 'down']

/**
 * What `/metrics` says: by the names of OpenTelemetry's conventions where they have one, else by our own. Every label
 * comes from the configuration or from a fixed list, never from a caller, so the number of series is bounded; there is
 * none of tenants or keys, whose number is not. What those used is in the ledger.
 */
export class Metrics implements Observer {
  readonly #requests = new Counter('spillway_requests_total', 'Requests that ended, by what the caller saw.', [
    'model',
    'plan',
    'status',
    'state',
  ])
  readonly #attempts = new Counter('spillway_attempts_total', 'Tries at an endpoint, by how they ended.', [
    'endpoint',
    'sub_processor',
    'country',
    'outcome',
  ])
  readonly #tokens = new Counter('spillway_tokens_total', 'Tokens settled.', ['model', 'endpoint', 'kind'])
  readonly #cost = new Counter('spillway_cost_usd_total', 'Cost settled, US dollars.', ['model', 'endpoint'])
  readonly #retriesSeen = new Counter('spillway_client_retries_total', 'Requests that a client says are retries.')
  readonly #endpointChanges = new Counter(
    'spillway_endpoint_changes_total',
    'Changes of an endpoint between open, ejected, probing and down.',
    ['endpoint', 'state'],
  )
  readonly #brownouts = new Counter(
    'spillway_brownouts_total',
    'Requests that did without something because their model was short.',
    ['model', 'plan', 'what'],
  )
  readonly #duration = new Histogram(
    'gen_ai_server_request_duration_seconds',
    'From the arrival of a request to the end of its answer, refused ones included.',
    ['gen_ai_operation_name', 'gen_ai_request_model', 'error_type'],
    genAiBounds.requestSeconds,
  )
  readonly #firstToken = new Histogram(
    'gen_ai_server_time_to_first_token_seconds',
    'From the arrival of a request to the first byte of its streamed answer.',
    ['gen_ai_operation_name', 'gen_ai_request_model'],
    genAiBounds.timeToFirstTokenSeconds,
  )
  readonly #perToken = new Histogram(
    'gen_ai_server_time_per_output_token_seconds',
    'Of streamed answers that came whole: time after the first token, by tokens after the first.',
    ['gen_ai_operation_name', 'gen_ai_request_model'],
    genAiBounds.timePerOutputTokenSeconds,
  )
  readonly #tokensEach = new Histogram(
    'gen_ai_client_token_usage',
    'Tokens of one request.',
    ['gen_ai_operation_name', 'gen_ai_request_model', 'gen_ai_token_type'],
    genAiBounds.tokens,
  )
  readonly #overhead = new Histogram(
    'spillway_overhead_seconds',
    'Our own share of the time to the first byte of a streamed answer.',
    ['model'],
    overheadBounds,
  )
  readonly #loop = monitorEventLoopDelay({ resolution: 10 })
  #streams = 0
  #readings: Family[] = []

  attemptStarted(): void {}

  attemptEnded(
    _requestId: string,
    endpoint: ServedEndpoint,
    _number: number,
    failure: Failure | 'cancelled' | 'refused' | undefined,
  ): void {
    const outcome = failure === undefined ? 'answered' : typeof failure === 'string' ? failure : failure.kind
    this.#attempts.add(1, endpoint.id, endpoint.subProcessor, endpoint.country, outcome)
  }

  streamOpened(): void {
    this.#streams++
  }

  streamClosed(): void {
    this.#streams--
  }

  endpointState(endpointId: string, state: EndpointHealth): void {
    this.#endpointChanges.add(1, endpointId, state)
  }

  finished(summary: RequestSummary): void {
    const {
      model,
      plan = '',
      status,
      state,
      code = '',
      endpoint,
      tokens,
      durationMs,
      firstByteMs,
      overheadMs,
    } = summary
    this.#requests.add(1, model ?? '', plan, String(status), state)
    if (summary.retryCount > 0) this.#retriesSeen.add(1)
    for (const [what] of summary.brownout) this.#brownouts.add(1, model ?? '', plan, what)
    // Without a known model it was refused before anything was to be timed.
    if (model === undefined) return
    const operation = genAiOperation(summary.operation)
    this.#duration.observe(durationMs / 1_000, operation, model, code)
    if (overheadMs !== undefined) this.#overhead.observe(overheadMs / 1_000, model)
    if (firstByteMs !== undefined && summary.stream) {
      this.#firstToken.observe(firstByteMs / 1_000, operation, model)
      if (state === 'ok' && tokens !== undefined && tokens.output > 1)
        this.#perToken.observe((durationMs - firstByteMs) / 1_000 / (tokens.output - 1), operation, model)
    }
    if (tokens === undefined || endpoint === undefined) return
    this.#tokensEach.observe(tokens.input, operation, model, 'input')
    this.#tokensEach.observe(tokens.output, operation, model, 'output')
    this.#tokens.add(tokens.input - tokens.cachedInput, model, endpoint.id, 'input')
    this.#tokens.add(tokens.cachedInput, model, endpoint.id, 'cached_input')
    this.#tokens.add(tokens.output, model, endpoint.id, 'output')
    this.#cost.add(summary.nanoUsd / 1e9, model, endpoint.id)
  }

  /** Adds what is read from the running gateway each time it is asked. */
  watch(gateway: Gateway, journalHealthy: () => boolean): void {
    this.#loop.enable()
    const one = (name: string, help: string, read: () => number) =>
      new Reading('gauge', name, help, [], () => [[[], read()]])
    const perEndpoint = (
      name: string,
      help: string,
      read: (endpoint: ReturnType<Gateway['snapshot']>['endpoints'][number]) => number,
    ) =>
      new Reading('gauge', name, help, ['endpoint'], () =>
        gateway.snapshot().endpoints.map((endpoint) => [[endpoint.endpointId], read(endpoint)] as const),
      )
    const perBrownout = (name: string, help: string, read: (reading: BrownoutReading) => number) =>
      new Reading('gauge', name, help, ['class', 'model'], () =>
        gateway.brownouts.map((reading) => [[reading.className, reading.model], read(reading)] as const),
      )
    this.#readings = [
      one(
        'spillway_open_requests',
        'Requests between their body and the end of their answer.',
        () => gateway.openRequests,
      ),
      one('spillway_open_streams', 'Streams being sent.', () => this.#streams),
      one('spillway_waiting_requests', 'Requests waiting for a free slot.', () => gateway.snapshot().waiting),
      perBrownout(
        'spillway_brownout_steps',
        "Steps of its plan's brownout that are in force for a class and a model.",
        ({ level }) => level,
      ),
      perBrownout(
        'spillway_model_pressure',
        'Requests in flight and before one of a class, by the slots of the places that may serve it.',
        ({ pressure }) => pressure,
      ),
      one('spillway_buffered_body_bytes', 'Request bodies held in memory.', () => gateway.bufferedBytes),
      one('spillway_journal_healthy', '1 while requests can be recorded.', () => Number(journalHealthy())),
      perEndpoint('spillway_endpoint_in_flight', 'Requests in flight at an endpoint.', ({ inFlight }) => inFlight),
      perEndpoint(
        'spillway_endpoint_slots',
        'Requests an endpoint takes at once.',
        ({ concurrencyMax }) => concurrencyMax,
      ),
      perEndpoint(
        'spillway_endpoint_slots_learned',
        'Of them, those that may be used as far as its refusals and first tokens tell.',
        ({ concurrencyLearned }) => concurrencyLearned,
      ),
      perEndpoint(
        'spillway_endpoint_saturation',
        'How much of what it can take an endpoint has: 0 nothing, 1 all.',
        ({ saturation }) => saturation,
      ),
      perEndpoint(
        'spillway_endpoint_first_token_seconds',
        'Expected time to the first token.',
        ({ firstTokenMs }) => firstTokenMs / 1_000,
      ),
      new Reading('gauge', 'spillway_endpoint_state', '1 for the state an endpoint is in.', ['endpoint', 'state'], () =>
        gateway
          .snapshot()
          .endpoints.flatMap(({ endpointId, health }) =>
            healths.map((state) => [[endpointId, state], Number(state === health)] as const),
          ),
      ),
      one(
        'spillway_event_loop_delay_p99_seconds',
        'Delay of the event loop, 99th percentile since the last reading.',
        () => {
          const seconds = this.#loop.percentile(99) / 1e9
          this.#loop.reset()
          return seconds
        },
      ),
      one('process_resident_memory_bytes', 'Resident memory.', () => process.memoryUsage.rss()),
      new Reading('counter', 'process_cpu_seconds_total', 'CPU time used.', [], () => {
        const { user, system } = process.cpuUsage()
        return [[[], (user + system) / 1e6]]
      }),
    ]
  }

  close(): void {
    this.#loop.disable()
  }

  render(): string {
    const families = [
      this.#requests,
      this.#attempts,
      this.#tokens,
      this.#cost,
      this.#retriesSeen,
      this.#endpointChanges,
      this.#brownouts,
      this.#duration,
      this.#firstToken,
      this.#perToken,
      this.#tokensEach,
      this.#overhead,
      ...this.#readings,
    ]
    return families.map((family) => family.render()).join('')
  }
}
