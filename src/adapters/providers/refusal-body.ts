/** How much of a vendor's own words is passed on. */
const messageCharsMax = 4_000

/**
 * A vendor's refusal of the request itself in OpenAI's envelope, all four keys there. Takes the envelopes of OpenAI,
 * Azure and vLLM (`error.message`), Google (`error.status`, or a list of one), AWS (`message`) and FastAPI (`detail`).
 */
export function normalisedRefusal(status: number, body: Buffer): Buffer {
  return refusalOf(status, errorIn(body))
}

/** The same for an error that was found inside an answer. */
export function refusalOf(status: number, found: Readonly<Record<string, unknown>>): Buffer {
  const message =
    typeof found['message'] === 'string' && found['message'] !== ''
      ? found['message']
      : `the vendor refused the request with status ${status}`
  // Google's code is the number of the status; its name says more.
  const code = typeof found['code'] === 'string' ? found['code'] : found['status']
  return Buffer.from(
    JSON.stringify({
      error: {
        message: message.slice(0, messageCharsMax),
        type: typeof found['type'] === 'string' ? found['type'] : 'invalid_request_error',
        param: typeof found['param'] === 'string' ? found['param'] : null,
        code: typeof code === 'string' ? code : null,
      },
    }),
  )
}

function errorIn(body: Buffer): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(body.toString('utf8'))
  } catch {
    return {}
  }
  if (Array.isArray(value)) value = value[0]
  if (typeof value !== 'object' || value === null) return {}
  const outer = value as Record<string, unknown>
  const inner = outer['error']
  if (typeof inner === 'object' && inner !== null) return inner as Record<string, unknown>
  if (typeof inner === 'string') return { message: inner }
  if (outer['detail'] !== undefined)
    return { message: typeof outer['detail'] === 'string' ? outer['detail'] : JSON.stringify(outer['detail']) }
  return outer
}
