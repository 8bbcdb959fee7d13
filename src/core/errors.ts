/**
 * Every refusal and failure that a caller can see. The edge renders these in OpenAI's envelope (`/v1`), as a problem
 * document (`/admin`) or as a line in a terminal. `retry` becomes `x-should-retry`. docs/reference/errors.md holds the
 * same table in words; a test keeps the two together.
 */
export const errorCodes = {
  invalid_json: { status: 400, type: 'invalid_request_error', retry: false },
  invalid_request: { status: 400, type: 'invalid_request_error', retry: false },
  missing_api_key: { status: 401, type: 'authentication_error', retry: false },
  invalid_api_key: { status: 401, type: 'authentication_error', retry: false },
  mismatched_organization: { status: 401, type: 'invalid_request_error', retry: false },
  no_eligible_endpoint: { status: 403, type: 'invalid_request_error', retry: false },
  location_not_allowed: { status: 403, type: 'invalid_request_error', retry: false },
  tier_not_allowed: { status: 403, type: 'invalid_request_error', retry: false },
  price_unknown: { status: 403, type: 'invalid_request_error', retry: false },
  model_not_found: { status: 404, type: 'invalid_request_error', retry: false },
  not_found: { status: 404, type: 'invalid_request_error', retry: false },
  method_not_allowed: { status: 405, type: 'invalid_request_error', retry: false },
  request_timeout: { status: 408, type: 'timeout', retry: true },
  request_too_large: { status: 413, type: 'invalid_request_error', retry: false },
  unsupported_content_type: { status: 415, type: 'invalid_request_error', retry: false },
  unsupported_content_encoding: { status: 415, type: 'invalid_request_error', retry: false },
  rate_limit_exceeded: { status: 429, type: 'rate_limit_error', retry: true },
  concurrency_limit_exceeded: { status: 429, type: 'rate_limit_error', retry: true },
  insufficient_quota: { status: 429, type: 'insufficient_quota', retry: false },
  head_too_large: { status: 431, type: 'invalid_request_error', retry: false },
  internal_error: { status: 500, type: 'server_error', retry: true },
  upstream_error: { status: 502, type: 'server_error', retry: true },
  upstream_invalid_answer: { status: 502, type: 'server_error', retry: true },
  upstream_unauthorized: { status: 502, type: 'server_error', retry: false },
  upstream_stream_cut: { status: 502, type: 'server_error', retry: true },
  unavailable: { status: 503, type: 'server_error', retry: true },
  overloaded: { status: 503, type: 'server_error', retry: true },
  draining: { status: 503, type: 'server_error', retry: true },
  storage_unavailable: { status: 503, type: 'server_error', retry: true },
  queue_timeout: { status: 504, type: 'server_error', retry: true },
  upstream_timeout: { status: 504, type: 'server_error', retry: true },
} as const satisfies Record<string, { status: number; type: string; retry: boolean }>

export type ErrorCode = keyof typeof errorCodes
