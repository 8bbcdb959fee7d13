import type { Clock } from '../../core/clock.ts'
import type { Failure } from '../../core/failure.ts'
import { type AnswerLimits, AnswerReader } from './answer-reader.ts'
import type { ConnectionOptions } from './connections.ts'
import { CountCalibration } from './count-calibration.ts'
import type { Credentials } from './credentials.ts'
import { failureOfError } from './failures.ts'
import { withTimeout } from './patient-fetch.ts'
import type { AnswerSink, Operation, ProbeResult, Provider, ProviderCall, ProviderExchange } from './provider.ts'
import { type HttpSink, openTransport, type Transport } from './transport.ts'
import { Watchdog } from './watchdog.ts'

/** Where and how one vendor speaks the OpenAI dialect. */
export interface VendorWire {
  readonly kind: string
  readonly origin: string
  /** Path and query of an operation on a model. */
  path(operation: Operation, upstreamModel: string): string
  /** A path that can be read for nothing. */
  readonly probePath: string
  readonly credentials: Credentials
  /** How long an idle connection is kept where the vendor does not say how long it keeps it, ms. */
  readonly keepAliveMs: number
  /** Its usage leaves thoughts out of the output and has them in the total only. */
  readonly thoughtsBeside?: boolean
}

export interface OpenAiProviderOptions {
  readonly wire: VendorWire
  readonly limits: AnswerLimits & Pick<ConnectionOptions, 'connectMs'>
  readonly clock: Clock
  /** Is told, in one line, of trouble that only the operator can end: of the same at most once a minute. */
  readonly onProblem: (problem: string) => void
}

const sameProblemMs = 60_000
const problemsMax = 100
const problemCharsMax = 300

const fixedHeaders = ['content-type', 'application/json', 'accept-encoding', 'identity', 'user-agent', 'spillway']

/** Any vendor that speaks the OpenAI dialect; what differs between them is in the wire. */
export class OpenAiProvider implements Provider {
  readonly kind: string
  readonly #options: OpenAiProviderOptions
  readonly #transport: Transport
  readonly #watchdog: Watchdog
  readonly #calibrations = new Map<string, CountCalibration>()
  readonly #toldAtMs = new Map<string, number>()

  constructor(options: OpenAiProviderOptions) {
    const { wire, limits } = options
    this.kind = wire.kind
    this.#options = options
    this.#transport = openTransport(wire.origin, { connectMs: limits.connectMs, keepAliveMs: wire.keepAliveMs })
    this.#watchdog = new Watchdog(Math.min(limits.firstByteMs, limits.streamIdleMs))
  }

  send(call: ProviderCall, sink: AnswerSink): ProviderExchange {
    const { wire, limits, clock } = this.#options
    const { thoughtsBeside = false } = wire
    const reader = new AnswerReader({
      call,
      sink,
      limits,
      watchdog: this.#watchdog,
      calibration: this.#calibrationOf(call.upstreamModel),
      thoughtsBeside,
      clock,
      onNotServed: (failure) => this.#notServed(call, failure),
    })
    const path = wire.path(call.operation, call.upstreamModel)
    const body = call.body.length === 1 ? (call.body[0] as Uint8Array) : Buffer.concat(call.body, call.bodyBytes)
    const proof = wire.credentials.headers({ method: 'POST', origin: wire.origin, path, body })
    if (proof instanceof Promise) {
      proof.then(
        (headers) => this.#dispatch(call, path, headers, body, reader),
        (error: Error) => {
          this.#tell(credentialsProblem(error))
          reader.unauthorized()
        },
      )
    } else this.#dispatch(call, path, proof, body, reader)
    return reader
  }

  async probe(timeoutMs: number): Promise<ProbeResult> {
    const startedMs = performance.now()
    const result = (problem?: string): ProbeResult => ({
      reachable: problem === undefined,
      ...(problem !== undefined && { problem }),
      durationMs: performance.now() - startedMs,
    })
    const { wire } = this.#options
    let proof: readonly string[]
    try {
      proof = await withTimeout(
        Promise.resolve(
          wire.credentials.headers({ method: 'GET', origin: wire.origin, path: wire.probePath, body: undefined }),
        ),
        timeoutMs,
      )
    } catch (error) {
      return result(credentialsProblem(error as Error))
    }
    const status = await this.#statusOf(wire.probePath, [...fixedHeaders, ...proof], timeoutMs)
    if (typeof status === 'string') return result(`${wire.origin} ${status}`)
    if (status === 401 || status === 403) return result(this.#notTaken(status))
    if (status >= 500) return result(`${wire.origin} answers with status ${status}`)
    return result()
  }

  close(): Promise<void> {
    return this.#transport.close()
  }

  #dispatch(call: ProviderCall, path: string, proof: readonly string[], body: Uint8Array, reader: AnswerReader): void {
    // Given up while its credentials were fetched.
    if (reader.isOver) return
    const headers = [
      ...fixedHeaders,
      'accept',
      call.stream ? 'text/event-stream' : 'application/json',
      'x-request-id',
      call.requestId,
      ...proof,
    ]
    reader.started(this.#transport.send({ method: 'POST', path, headers, body }, reader))
  }

  #calibrationOf(model: string): CountCalibration {
    let calibration = this.#calibrations.get(model)
    if (calibration === undefined) {
      calibration = new CountCalibration()
      this.#calibrations.set(model, calibration)
    }
    return calibration
  }

  #notServed({ operation, upstreamModel }: ProviderCall, { kind, status = 0 }: Failure): void {
    const { origin, credentials } = this.#options.wire
    if (status === 401) credentials.refused?.()
    this.#tell(
      kind === 'missing-model'
        ? `${origin} has no ${operation} of ${upstreamModel} (status ${status}); check upstreamModel`
        : this.#notTaken(status),
    )
  }

  #notTaken(status: number): string {
    const { origin } = this.#options.wire
    return status === 402
      ? `${origin} wants to be paid (status 402); look at the account there`
      : `${origin} does not take the credentials (status ${status}); check the key and what it may do`
  }

  #tell(problem: string): void {
    const nowMs = this.#options.clock.nowMs()
    if (nowMs - (this.#toldAtMs.get(problem) ?? Number.NEGATIVE_INFINITY) < sameProblemMs) return
    // Libraries put times and numbers into what they say: it may be another text each time.
    if (this.#toldAtMs.size >= problemsMax) this.#toldAtMs.clear()
    this.#toldAtMs.set(problem, nowMs)
    this.#options.onProblem(problem)
  }

  #statusOf(path: string, headers: readonly string[], timeoutMs: number): Promise<number | string> {
    return new Promise((resolve) => {
      const done = (outcome: number | string): void => {
        clearTimeout(timer)
        resolve(outcome)
        exchange.abort()
      }
      const sink: HttpSink = {
        onHead: (status) => done(status),
        onData: () => true,
        onEnd: () => done('sent no answer'),
        onError: (error) => done(`cannot be reached (${error.code ?? failureOfError(error).kind})`),
      }
      const timer = setTimeout(() => done(`does not answer within ${timeoutMs} ms`), timeoutMs)
      const exchange = this.#transport.send({ method: 'GET', path, headers, body: undefined }, sink)
    })
  }
}

/** Libraries speak in several lines, and at length. */
function credentialsProblem({ message }: Error): string {
  const [line = ''] = message.split('\n')
  return `its credentials cannot be had: ${line.slice(0, problemCharsMax)}`
}
