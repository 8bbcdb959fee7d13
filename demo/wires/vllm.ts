import { isOperation, json, modelList, type Wire } from './wire.ts'

const models = ['openai/gpt-oss-120b', 'openai/gpt-oss-20b']

/** An engine's own server, as a GPU cloud or one's own machine runs it. `running` gives what is in flight. */
export function vllmWire(apiKey: string, running: () => { readonly inFlight: number; readonly slots: number }): Wire {
  const error = (status: number, type: string, message: string, headers = {}) =>
    json(status, { error: { message, type, param: null, code: status } }, headers)
  return {
    route(method, path) {
      if (method === 'GET') {
        if (path === '/v1/models') return { kind: 'reply', reply: json(200, modelList(models)) }
        if (path === '/health') return { kind: 'reply', reply: { status: 200, headers: {}, body: '' } }
        if (path === '/version') return { kind: 'reply', reply: json(200, { version: 'simulation' }) }
        if (path === '/metrics')
          return {
            kind: 'reply',
            reply: { status: 200, headers: { 'content-type': 'text/plain; version=0.0.4' }, body: metrics(running()) },
          }
        return undefined
      }
      const operation = /^\/v1\/(.+)$/.exec(path)?.[1]
      return method === 'POST' && operation !== undefined && isOperation(operation)
        ? { kind: 'operation', operation }
        : undefined
    },
    isFree: (path) => path === '/health' || path === '/version' || path === '/metrics',
    isAuthorized: (headers) => headers.authorization === `Bearer ${apiKey}`,
    unauthorized: json(401, { error: 'Unauthorized' }),
    notFound: json(404, { detail: 'Not Found' }),
    tooMany: () => error(429, 'TooManyRequests', 'All slots are in use.', { 'retry-after': '1' }),
    badRequest: (message) => error(400, 'BadRequestError', message),
    models,
    unknownModel: (model) =>
      json(404, {
        error: { message: `The model \`${model}\` does not exist.`, type: 'NotFoundError', param: 'model', code: 404 },
      }),
    headers: () => ({}),
    openingEvent: '',
    choiceExtra: ',"stop_reason":null',
    answerExtra: {},
  }
}

function metrics({ inFlight, slots }: { readonly inFlight: number; readonly slots: number }): string {
  const gauge = (name: string, value: number) =>
    `# TYPE vllm:${name} gauge\nvllm:${name}{model_name="openai/gpt-oss-120b"} ${value}\n`
  return (
    gauge('num_requests_running', inFlight) +
    gauge('num_requests_waiting', 0) +
    gauge('gpu_cache_usage_perc', inFlight / slots)
  )
}
