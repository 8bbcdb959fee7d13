import { pino } from 'pino'
import { optionalModule } from '../adapters/providers/optional-module.ts'
import type { Storage } from '../adapters/storage/storage.ts'
import type { Config } from '../config/config.ts'
import type { EndpointHealth } from '../core/events.ts'
import type { Gateway } from '../gateway/gateway.ts'
import { Metrics } from '../gateway/metrics.ts'
import { startMetricsServer } from '../gateway/metrics-server.ts'
import type { Observer } from '../gateway/observer.ts'
import { RequestLog } from '../gateway/request-log.ts'

export interface Telemetry {
  readonly observer: Observer
  /** Undefined with `metrics: off`. */
  readonly metricsUrl: string | undefined
  endpointState(endpoint: string, state: EndpointHealth): void
  /** Reads gauges from the running parts. */
  watch(gateway: Gateway, storage: Storage): void
  close(): Promise<void>
}

/** Metrics always (unless `metrics: off`), the log where a level asks for it, traces where an OTLP endpoint is set. */
export async function openTelemetry(
  config: Config,
  env: Readonly<Record<string, string | undefined>>,
  logRequests: boolean,
): Promise<Telemetry> {
  const metrics = new Metrics()
  const server = config.metrics === 'off' ? undefined : await startMetricsServer(config.metrics, () => metrics.render())
  const observers: Observer[] = [metrics]
  // A person at a terminal is not shown a line for each request; a log collector is.
  if (logRequests && config.log.level !== 'silent')
    observers.push(
      new RequestLog(
        pino({ level: config.log.level, base: null }, pino.destination({ dest: 1, minLength: 4_096, sync: false })),
      ),
    )
  const otlpEndpoint = config.telemetry.otlpEndpoint ?? env['OTEL_EXPORTER_OTLP_ENDPOINT']
  const tracing = otlpEndpoint === undefined ? undefined : await openTracing(otlpEndpoint)
  if (tracing !== undefined) observers.push(tracing.observer)
  return {
    observer: observers.length === 1 ? metrics : all(observers),
    metricsUrl: config.metrics === 'off' ? undefined : `http://${config.metrics.host}:${server?.port}/metrics`,
    endpointState: (endpoint, state) => metrics.endpointState(endpoint, state),
    watch: (gateway, storage) => metrics.watch(gateway, () => storage.journal.healthy),
    async close() {
      metrics.close()
      await server?.close()
      await tracing?.close()
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
    finished: (summary) => {
      for (const observer of observers) observer.finished(summary)
    },
  }
}

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
  return { observer: new Tracing(provider.getTracer('spillway')), close: () => provider.shutdown() }
}
