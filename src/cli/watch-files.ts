import { stat } from 'node:fs/promises'

/**
 * Looked at, not listened to: notices of the system are not sent for network file systems, tell of another file where
 * a link is switched over (Kubernetes), and can run out.
 */
export const lookEveryMs = 250

/**
 * Calls `settled` when one of the files is another than at the last call and has stayed so for two looks: half a file,
 * while it is being written, might be valid too. The first call comes in any case, since what was read before the first
 * look may be old by then.
 */
export function watchFiles(files: () => readonly string[], settled: () => void): { close(): void } {
  let known: string | undefined
  let seen: string | undefined
  let looking = false
  const look = async (): Promise<void> => {
    const now = (await Promise.all(files().map(mark))).join()
    if (now !== known && now === seen) {
      known = now
      settled()
    }
    seen = now
  }
  const timer = setInterval(() => {
    if (looking) return
    looking = true
    void look().finally(() => {
      looking = false
    })
  }, lookEveryMs)
  timer.unref()
  return { close: () => clearInterval(timer) }
}

async function mark(file: string): Promise<string> {
  try {
    const { ino, size, mtimeMs, ctimeMs } = await stat(file)
    return `${ino}/${size}/${mtimeMs}/${ctimeMs}`
  } catch {
    return 'none'
  }
}
