import type { Logger } from 'pino'
import { optionalModule } from '../adapters/providers/optional-module.ts'
import type { Storage } from '../adapters/storage/storage.ts'
import type { Config } from '../config/config.ts'
import type { EndpointHealth } from '../core/events.ts'
import type { Gateway } from '../gateway/gateway.ts'
import { Metrics } from '../gateway/metrics.ts'
import { startMetricsServer } from '../gateway/metrics-server.ts'
import type { Observer } from '../gateway/observer.ts'
import { RequestLog } from '../gateway/request-log.ts'
import { systemClock } from './clock.ts'
import { hostInUrl } from './url.ts'

export interface Telemetry {
  readonly observer: Observer
  /** Undefined with `metrics: off`. */
  readonly metricsUrl: string | undefined
  endpointState(endpoint: string, state: EndpointHealth): void
  /** Reads gauges from the running parts. */
  watch(gateway: Gateway, storage: Storage): void
  close(): Promise<void>
}

/** Metrics always (unless `metrics: off`), each request in `log` where there is one, traces where an OTLP endpoint is set. */
export async function openTelemetry(
  config: Config,
  env: Readonly<Record<string, string | undefined>>,
  log: Logger | undefined,
  say: (line: string) => void,
): Promise<Telemetry> {
  const metrics = new Metrics()
  const server = config.metrics === 'off' ? undefined : await startMetricsServer(config.metrics, () => metrics.render())
  const otlpEndpoint = config.telemetry.otlpEndpoint ?? env['OTEL_EXPORTER_OTLP_ENDPOINT']
  // The variable may be set for all that runs on a machine: no reason not to serve.
  const tracing = otlpEndpoint
    ? await openTracing(otlpEndpoint).catch((error: Error) => say(`warning: traces are off: ${error.message}`))
    : undefined
  const observers: Observer[] = [
    metrics,
    ...(log === undefined ? [] : [new RequestLog(log)]),
    ...(tracing ? [tracing.observer] : []),
  ]
  return {
    observer: observers.length === 1 ? metrics : all(observers),
    metricsUrl:
      config.metrics === 'off' ? undefined : `http://${hostInUrl(config.metrics.host)}:${server?.port}/metrics`,
    endpointState: (endpoint, state) => metrics.endpointState(endpoint, state),
    watch: (gateway, storage) => metrics.watch(gateway, () => storage.journal.healthy),
    async close() {
      metrics.close()
      await server?.close()
      if (tracing) await tracing.close()
    },
  }
}

function all(observers: readonly Observer[]): Observer {
  return {
    attemptStarted: (...args) => {
      for (const observer of observers) observer.attemptStarted(...args)
    },
    attemptEnded: (...args) => {
      for (const observer of observers) observer.attemptEnded(...args)
    },
    streamOpened: () => {
      for (const observer of observers) observer.streamOpened()
    },
    streamClosed: () => {
      for (const observer of observers) observer.streamClosed()
    },
    finished: (...args) => {
      for (const observer of observers) observer.finished(...args)
    },
  }
}

/** A collector that does not answer does not hold up the end of the process for longer. */
const shutdownMs = 3_000

async function openTracing(otlpEndpoint: string): Promise<{ readonly observer: Observer; close(): Promise<void> }> {
  const [{ BasicTracerProvider, BatchSpanProcessor }, { OTLPTraceExporter }, { resourceFromAttributes }, { Tracing }] =
    await Promise.all([
      optionalModule('@opentelemetry/sdk-trace-base', () => import('@opentelemetry/sdk-trace-base')),
      optionalModule(
        '@opentelemetry/exporter-trace-otlp-http',
        () => import('@opentelemetry/exporter-trace-otlp-http'),
      ),
      optionalModule('@opentelemetry/resources', () => import('@opentelemetry/resources')),
      optionalModule('@opentelemetry/api', () => import('../gateway/tracing.ts')),
    ])
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'spillway' }),
    spanProcessors: [
      new BatchSpanProcessor(new OTLPTraceExporter({ url: `${otlpEndpoint.replace(/\/+$/, '')}/v1/traces` })),
    ],
  })
  return {
    observer: new Tracing(provider.getTracer('spillway'), systemClock),
    async close() {
      const late = new Promise<void>((resolve) => setTimeout(resolve, shutdownMs).unref())
      await Promise.race([provider.shutdown().catch(() => {}), late])
    },
  }
}
