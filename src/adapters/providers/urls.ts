export function originOf(url: string): string {
  return new URL(url).origin
}

/** A path under a base path that may or may not end in a slash. */
export function joinPath(base: string, path: string): string {
  return `${base.replace(/\/+$/, '')}${path}`
}
