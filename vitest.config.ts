import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    // Tests wait for what they await, not for a time: the default of 5 s only says that a machine is busy.
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})
