// Preloaded into gateways on Node, so that the benchmark can ask for a full collection before it reads their memory.
process.on('SIGUSR2', () => globalThis.gc())
