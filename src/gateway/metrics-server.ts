import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Serves `/metrics` on a listener of its own. Resolves once it listens; rejects with what to do where it cannot. */
export async function startMetricsServer(
  listen: { readonly host: string; readonly port: number },
  render: () => string,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    if (request.url !== '/metrics' || request.method !== 'GET') {
      response.writeHead(404, { 'content-type': 'text/plain' })
      response.end('GET /metrics\n')
      return
    }
    response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' })
    response.end(render())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new Error(
          `cannot listen for metrics on ${listen.host}:${listen.port}: ${error.code === 'EADDRINUSE' ? 'the port is in use; set metrics.port, or metrics: off' : error.message}`,
        ),
      ),
    )
    server.listen(listen.port, listen.host, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
