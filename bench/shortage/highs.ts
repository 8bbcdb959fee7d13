import highs, { type Highs } from 'highs'

// The package's types are those of its CommonJS build, in which the loader is a property; its module exports it itself.
const load = highs as unknown as typeof highs.default

/** The solver, ready to use. */
export function openHighs(): Promise<Highs> {
  return load()
}
