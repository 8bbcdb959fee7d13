/** Under npm one Ctrl-C comes several times: from the terminal, from npm, from the script in between. */
const copiesMs = 300

/** Resolves at the first SIGINT or SIGTERM; the next one that is not a copy of it ends the process at once. */
export function firstSignal(): Promise<undefined> {
  let firstMs: number | undefined
  return new Promise((resolve) => {
    const onSignal = (): void => {
      const nowMs = performance.now()
      if (firstMs !== undefined && nowMs - firstMs > copiesMs) process.exit(1)
      firstMs ??= nowMs
      resolve(undefined)
    }
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal)
  })
}
