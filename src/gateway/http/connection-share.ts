/** Files, listeners, epoll, the command line's socket: what the process itself keeps open, and some room to spare. */
const ownDescriptors = 64

/**
 * How many client connections there may be: as many as are wanted, but no more than leave each of them a descriptor
 * for its vendor. A process that takes connections until its descriptors are gone can serve none of them.
 */
export function connectionShare(wanted: number, descriptors: number): number {
  return Math.max(1, Math.min(wanted, Math.floor((descriptors - ownDescriptors) / 2)))
}

/** How many descriptors this process may have open; Infinity where the system does not say. */
export function descriptorsMax(): number {
  // A report would look up the names of all peers otherwise.
  Object.assign(process.report, { excludeNetwork: true })
  const { userLimits } = process.report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } }
  const soft = userLimits?.open_files?.soft
  return typeof soft === 'number' ? soft : Number.POSITIVE_INFINITY
}
