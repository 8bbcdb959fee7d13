import { mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach } from 'vitest'
import { type Disk, type DiskFile, realDisk } from './disk.ts'
import type { JournalRecord } from './journal-record.ts'
import { openStorage, type StorageOptions } from './open-storage.ts'
import type { Storage } from './storage.ts'

/** A second after the records below. */
export const testWallMs = 1_700_000_001_000

/** A directory of its own for one test. */
export function temporaryDir(): { readonly dir: string; remove(): void } {
  const dir = mkdtempSync(path.join(tmpdir(), 'spillway-storage-'))
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) }
}

/** A storage of a test: small segments, no ballast, a clock that stands still. */
export function openTestStorage(dataDir: string, options: Partial<StorageOptions> = {}): Promise<Storage> {
  const clock = { nowMs: () => 0, wallMs: () => testWallMs }
  const common = { segmentBytesMax: 65_536, retentionDays: 35, clock, onFatal: () => {}, disk: plainDisk }
  return openStorage({ dataDir, ...common, ...options })
}

/** One data directory for each test of a file, and the storage that was opened in it last. */
export interface StoragePlace {
  readonly dir: string
  open(options?: Partial<StorageOptions>): Promise<Storage>
  /** Closes what was opened last, where anything was. */
  close(): Promise<void>
  /** Goes on in an empty directory. */
  renew(): void
}

/** A place that is made before each test of the file that calls this, and closed and removed after it. */
export function storagePlace(): StoragePlace {
  let place: ReturnType<typeof temporaryDir>
  let storage: Storage | undefined
  const close = async () => {
    await storage?.close()
    storage = undefined
  }
  beforeEach(() => {
    place = temporaryDir()
  })
  afterEach(async () => {
    await close()
    place.remove()
  })
  return {
    get dir() {
      return place.dir
    },
    async open(options) {
      storage = await openTestStorage(place.dir, options)
      return storage
    },
    close,
    renew() {
      place.remove()
      place = temporaryDir()
    },
  }
}

/** Resolves once they are on the disk. */
export function appendTo(storage: Storage, ...records: JournalRecord[]): Promise<void> {
  return new Promise((resolve, reject) =>
    storage.journal.append(records, (error) => (error === undefined ? resolve() : reject(error))),
  )
}

/** The real disk without the ballast, which would make every test write 64 MiB. */
export const plainDisk: Disk = { ...realDisk, reserve: () => {}, release: () => {} }

export function errno(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(code), { code })
}

/** A disk that loses its power at a moment of the test's choice: what was not synced by then is gone, or torn. */
export class MortalDisk implements Disk {
  readonly reserve = plainDisk.reserve
  readonly release = plainDisk.release
  readonly freeBytes = plainDisk.freeBytes
  readonly #synced = new Map<string, number>()
  #underWay: { readonly file: string; readonly bytes: number } | undefined
  #dead = false

  create(file: string): DiskFile {
    const real = plainDisk.create(file)
    this.#synced.set(file, statSync(file).size)
    return {
      write: (bytes, position, done) => {
        if (this.#dead) return void setImmediate(() => done(errno('EIO'), 0))
        this.#underWay = { file, bytes: bytes.length }
        real.write(bytes, position, (error, written) => {
          // The power went while it was under way: nobody was told that it is safe.
          if (this.#dead) return done(errno('EIO'), 0)
          this.#underWay = undefined
          this.#synced.set(file, position + written)
          done(error, written)
        })
      },
      close: () => real.close(),
    }
  }

  cut(): void {
    this.#dead = true
  }

  /** Call when the process is gone: leaves on the disk what was synced, and `share` of the write that was under way. */
  settle(share: number): void {
    for (const [file, bytes] of this.#synced) truncateSync(file, bytes)
    const { file, bytes } = this.#underWay ?? { file: undefined, bytes: 0 }
    if (file !== undefined) truncateSync(file, (this.#synced.get(file) ?? 0) + Math.floor(share * bytes))
  }
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
