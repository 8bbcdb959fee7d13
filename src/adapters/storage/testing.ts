import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { JournalRecord } from './journal-record.ts'

/** A directory of its own for one test. */
export function temporaryDir(): { readonly dir: string; remove(): void } {
  const dir = mkdtempSync(path.join(tmpdir(), 'spillway-storage-'))
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) }
}

export function admitRecord(id: string, tenant = 'acme'): JournalRecord & { kind: 'admit' } {
  return {
    kind: 'admit',
    id,
    wallMs: 1_700_000_000_000,
    tenant,
    keyId: 'k_1',
    plan: 'api',
    model: 'chat',
    operation: 'chat/completions',
    stream: true,
    policyVersion: 1,
    registerVersion: 1,
    priceVersion: 'config',
    holdTokens: 500,
    inputTokens: 100,
    holdNanoUsd: 0,
  }
}

export function attemptRecord(id: string, n = 1): JournalRecord & { kind: 'attempt' } {
  return {
    kind: 'attempt',
    id,
    n,
    wallMs: 1_700_000_000_001,
    endpoint: 'chat/own',
    provider: 'own',
    subProcessor: 'self',
    country: 'NL',
    upstreamModel: 'm',
    prices: { input: 1_000, cachedInput: 500, output: 2_000 },
  }
}

export function settleRecord(id: string, output = 7, n = 1): JournalRecord & { kind: 'settle' } {
  return {
    kind: 'settle',
    id,
    n,
    wallMs: 1_700_000_000_500,
    state: 'ok',
    source: 'upstream',
    tokens: { input: 11, cachedInput: 0, output },
    nanoUsd: 11_000 + output * 2_000,
    status: 200,
    code: null,
    firstByteMs: 100,
    durationMs: 499,
  }
}
