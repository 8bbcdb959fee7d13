/** The host of an address to connect to, for one that is listened on: `localhost` for all of them, IPv6 in brackets. */
export function hostInUrl(listenHost: string): string {
  if (listenHost === '0.0.0.0' || listenHost === '::') return 'localhost'
  return listenHost.includes(':') ? `[${listenHost}]` : listenHost
}
