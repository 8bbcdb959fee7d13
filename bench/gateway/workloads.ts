import type { Gateway } from './contenders.ts'
import { requestBytes, StreamConnection, type Target, WholeConnection } from './load.ts'
import { pause } from './process.ts'

/** What a load cost the gateway under it. */
export interface Cost {
  /** CPU time of the gateway's process, all threads and children, for each request or chunk, µs. */
  readonly cpuUs: number
  readonly perSecond: number
}

/** Whole answers: `connections` of them at a time, each connection asking again as soon as it is answered. */
export async function wholeLoad(gateway: Gateway, bodyBytes: number, connections: number, ms: number): Promise<Cost> {
  const request = requestBytes(gateway.target, bodyBytes)
  let answered = 0
  return failing(async (onBroken) => {
    const open = Array.from({ length: connections }, () => new WholeConnection(gateway.target, onBroken))
    for (const connection of open) {
      const again = (): void => {
        answered++
        connection.ask(request, again)
      }
      connection.ask(request, again)
    }
    try {
      // The first answers open the gateway's connections to the vendor.
      await pause(200)
      return await measured(gateway, () => answered, ms)
    } finally {
      for (const connection of open) connection.close()
    }
  })
}

/** Tokens of one paced answer: eight seconds at one each 20 ms. */
const pacedChunks = 400

/** `streams` answers at a time, a chunk each 20 ms, each stream followed by another. */
export async function pacedLoad(
  gateway: Gateway,
  streams: number,
  ms: number,
): Promise<Cost & { readonly firstTokenMs: readonly number[] }> {
  const request = requestBytes(gateway.target, 1_024, { pace: 'every-20-ms', chunks: pacedChunks })
  let chunks = 0
  const firstTokenMs: number[] = []
  return failing(async (onBroken) => {
    const open: StreamConnection[] = []
    try {
      for (let index = 0; index < streams; index++) {
        const connection = new StreamConnection(gateway.target, onBroken, (count) => {
          chunks += count
        })
        open.push(connection)
        const again = (): void => {
          const askedMs = performance.now()
          const first = (): void => void firstTokenMs.push(performance.now() - askedMs)
          connection.ask(request, pacedChunks, index === 0, first, again)
        }
        again()
        // Spread over a second, so that they do not begin and end together.
        await pause(1_000 / streams)
      }
      return { ...(await measured(gateway, () => chunks, ms)), firstTokenMs }
    } finally {
      for (const connection of open) connection.close()
    }
  })
}

/** Memory of each of `count` streams that were begun and then fall silent, KiB. The gateway must be fresh. */
export async function idleStreamKib(gateway: Gateway, count: number): Promise<number> {
  // What the first requests bring into memory once is not a stream's share.
  await pacedLoad(gateway, 50, 1_000)
  await settled(gateway)
  const before = gateway.child.rssKib()
  const request = requestBytes(gateway.target, 1_024, { pace: 'silent-after-first', chunks: 1 })
  return failing(async (onBroken) => {
    const open: StreamConnection[] = []
    try {
      for (let index = 0; index < count; index++) {
        const connection = new StreamConnection(gateway.target, onBroken)
        open.push(connection)
        await new Promise<void>((resolve) => connection.ask(request, 1, false, resolve, () => {}))
      }
      await settled(gateway)
      return (gateway.child.rssKib() - before) / count
    } finally {
      for (const connection of open) connection.close()
    }
  })
}

export interface Latencies {
  readonly wholeMs: number[]
  readonly firstTokenMs: number[]
}

/** One request at a time, a hundred a second over all targets in turn: what each adds when nobody is in a hurry.
 * Gives the times of each target, in the order of the targets. */
export async function latencies(targets: readonly Target[], samples: number): Promise<readonly Latencies[]> {
  return failing(async (onBroken) => {
    const lanes = targets.map((target) => ({
      whole: new WholeConnection(target, onBroken),
      wholeRequest: requestBytes(target, 1_024),
      stream: new StreamConnection(target, onBroken),
      streamRequest: requestBytes(target, 1_024, { pace: 'at-once', chunks: 20 }),
      times: { wholeMs: [], firstTokenMs: [] } as Latencies,
    }))
    try {
      for (let sample = 0; sample < samples; sample++) {
        for (const { whole, wholeRequest, times } of lanes) {
          await pause(10)
          const askedMs = performance.now()
          await new Promise<void>((resolve) => whole.ask(wholeRequest, resolve))
          times.wholeMs.push(performance.now() - askedMs)
        }
        for (const { stream, streamRequest, times } of lanes) {
          await pause(10)
          const askedMs = performance.now()
          const first = (): void => void times.firstTokenMs.push(performance.now() - askedMs)
          await new Promise<void>((resolve) => stream.ask(streamRequest, 20, sample === 0, first, resolve))
        }
      }
      return lanes.map(({ times }) => times)
    } finally {
      for (const { whole, stream } of lanes) {
        whole.close()
        stream.close()
      }
    }
  })
}

async function measured(gateway: Gateway, done: () => number, ms: number): Promise<Cost> {
  const [cpuFromUs, fromMs, doneFrom] = [gateway.child.cpuUs(), performance.now(), done()]
  await pause(ms)
  const count = done() - doneFrom
  const cpuUs = gateway.child.cpuUs() - cpuFromUs
  return { cpuUs: cpuUs / count, perSecond: (count * 1_000) / (performance.now() - fromMs) }
}

async function settled(gateway: Gateway): Promise<void> {
  await pause(1_000)
  for (let round = 0; round < 3; round++) {
    gateway.settle()
    await pause(500)
  }
}

/** Runs a load; rejects at the first answer that is not the right one, so that no figure stands on failing answers. */
function failing<T>(run: (onBroken: (error: Error) => void) => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    run(reject).then(resolve, reject)
  })
}
