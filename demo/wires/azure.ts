import { randomUUID } from 'node:crypto'
import { isOperation, json, modelList, type Wire } from './wire.ts'

const regions: Readonly<Record<string, string>> = {
  US: 'East US 2',
  GB: 'UK South',
  JP: 'Japan East',
  NL: 'West Europe',
  NO: 'Norway East',
}
/** Deployments, which need not be called as their models are. */
const models = ['gpt-oss-120b', 'gpt-oss-20b']
const unfiltered = { filtered: false, severity: 'safe' }
const filtered = { hate: unfiltered, self_harm: unfiltered, sexual: unfiltered, violence: unfiltered }
const promptFilter = [{ prompt_index: 0, content_filter_results: filtered }]

/** Azure OpenAI: deployments in the path, `api-key`, the filter's word on prompt and answer. */
export function azureWire(apiKey: string): Wire {
  const error = (status: number, message: string, headers = {}) =>
    json(status, { error: { code: String(status), message } }, headers)
  return {
    route(method, path, query) {
      if (
        method === 'GET' &&
        (path === '/openai/v1/models' || (path === '/openai/models' && query.has('api-version')))
      ) {
        return { kind: 'reply', reply: json(200, modelList(models)) }
      }
      if (method !== 'POST') return undefined
      const v1 = /^\/openai\/v1\/(.+)$/.exec(path)?.[1]
      if (v1 !== undefined && isOperation(v1)) return { kind: 'operation', operation: v1 }
      const [, deployment, operation] = /^\/openai\/deployments\/([^/]+)\/(.+)$/.exec(path) ?? []
      if (deployment === undefined || operation === undefined || !isOperation(operation)) return undefined
      // Without a version Azure knows no such resource.
      return query.has('api-version')
        ? { kind: 'operation', operation, model: decodeURIComponent(deployment) }
        : undefined
    },
    isFree: () => false,
    isAuthorized: (headers) => headers['api-key'] === apiKey || headers.authorization === `Bearer ${apiKey}`,
    unauthorized: error(401, 'Access denied due to invalid subscription key or wrong API endpoint.'),
    notFound: error(404, 'Resource not found'),
    tooMany: () =>
      error(429, 'Requests have exceeded the call rate limit of this deployment.', {
        'retry-after': '1',
        'retry-after-ms': '500',
      }),
    badRequest: (message) => json(400, { error: { message, type: 'invalid_request_error', param: null, code: null } }),
    models,
    unknownModel: () =>
      json(404, {
        error: {
          code: 'DeploymentNotFound',
          message: 'The API deployment for this resource does not exist. Wait a moment if it was made just now.',
        },
      }),
    headers: (country, deployment) => ({
      'x-ms-region': regions[country] ?? country,
      ...(deployment !== '' && { 'x-ms-deployment-name': deployment }),
      'apim-request-id': randomUUID(),
      'x-ratelimit-remaining-requests': '999',
      'x-ratelimit-remaining-tokens': '999000',
    }),
    openingEvent: `data: ${JSON.stringify({ choices: [], created: 0, id: '', model: '', object: '', prompt_filter_results: promptFilter })}\n\n`,
    choiceExtra: `,"content_filter_results":${JSON.stringify(filtered)}`,
    answerExtra: { prompt_filter_results: promptFilter },
  }
}
