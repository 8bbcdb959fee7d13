import type { Operation } from '../adapters/providers/provider.ts'
import { SpillwayError } from '../core/spillway-error.ts'
import type { HttpExchange } from './http/exchange.ts'

/** What the data plane answers to. */
export type Route =
  | { readonly kind: 'relay'; readonly operation: Operation }
  | { readonly kind: 'explain' }
  | { readonly kind: 'models' }
  | { readonly kind: 'model'; readonly name: string }
  | { readonly kind: 'livez' }
  | { readonly kind: 'readyz' }

const fixed: Readonly<Record<string, { readonly method: 'GET' | 'POST'; readonly route: Route }>> = {
  '/v1/chat/completions': { method: 'POST', route: { kind: 'relay', operation: 'chat/completions' } },
  '/v1/completions': { method: 'POST', route: { kind: 'relay', operation: 'completions' } },
  '/v1/embeddings': { method: 'POST', route: { kind: 'relay', operation: 'embeddings' } },
  '/v1/explain': { method: 'POST', route: { kind: 'explain' } },
  '/v1/models': { method: 'GET', route: { kind: 'models' } },
  '/livez': { method: 'GET', route: { kind: 'livez' } },
  '/readyz': { method: 'GET', route: { kind: 'readyz' } },
}

/** Finds the route or throws 404 or 405. One spelling of each path is known; no other is guessed at. */
export function routeOf(exchange: HttpExchange): Route {
  const { path } = exchange
  const found = Object.hasOwn(fixed, path) ? fixed[path] : undefined
  if (found !== undefined) {
    allow(exchange, found.method)
    return found.route
  }
  if (path.startsWith('/v1/models/')) {
    allow(exchange, 'GET')
    return { kind: 'model', name: decoded(path.slice('/v1/models/'.length)) }
  }
  throw new SpillwayError('not_found', `nothing is served at ${path.slice(0, 100)}; see GET /v1/models for the models`)
}

/** What a load balancer or an orchestrator asks. */
export function isHealthPath(path: string): boolean {
  return path === '/livez' || path === '/readyz'
}

/** The name of the route for the log: never a path as it was sent, which may hold anything. */
export function operationOf(path: string): string {
  const route = Object.hasOwn(fixed, path) ? fixed[path]?.route : undefined
  if (route !== undefined) return route.kind === 'relay' ? route.operation : route.kind
  return path.startsWith('/v1/models/') ? 'model' : 'none'
}

/** For the `allow` header of a 405. */
export function allowedMethods(path: string): string {
  return Object.hasOwn(fixed, path) && fixed[path]?.method === 'POST' ? 'POST' : 'GET, HEAD'
}

/** HEAD is GET without the body, which the transport leaves out. */
function allow(exchange: HttpExchange, method: string): void {
  if (exchange.method === method || (method === 'GET' && exchange.method === 'HEAD')) return
  throw new SpillwayError('method_not_allowed', `${exchange.path} takes ${method}, not ${exchange.method.slice(0, 20)}`)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new SpillwayError('not_found', 'the model name in the path is not well encoded')
  }
}
