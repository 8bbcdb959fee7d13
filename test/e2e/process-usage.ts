import { existsSync, readdirSync, readFileSync } from 'node:fs'

/** What a process uses is read where Linux tells it. */
export const canReadUsage = existsSync('/proc/self/status')

/** Memory that is resident, bytes. */
export function residentBytes(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kibibytes) * 1024
}

export function openDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

/** CPU time used so far, user and system, ms. */
export function cpuMs(pid: number): number {
  const afterName = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  // utime and stime are fields 14 and 15, in ticks of 10 ms; the name before them may hold spaces.
  return (Number(afterName[11]) + Number(afterName[12])) * 10
}
