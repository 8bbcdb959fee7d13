import type { ReplayResult } from './sender.ts'

/** A request that went well, for tests, but for what is `change`d. */
export function replayResult(change: Partial<ReplayResult> = {}): ReplayResult {
  return {
    index: 0,
    key: 0,
    requestId: 'req_1',
    status: 200,
    code: null,
    message: null,
    endpoint: 'chat-large/microsoft-gb',
    country: 'GB',
    attempts: 1,
    overheadMs: 1,
    retryAfter: null,
    sentMs: 1_000,
    ttftMs: 100,
    endMs: 1_000,
    lateMs: 0,
    contentEvents: 10,
    errorEvents: 0,
    done: true,
    usage: { promptTokens: 100, cachedTokens: 60, completionTokens: 10 },
    simulated: true,
    ended: 'ok',
    ...change,
  }
}
