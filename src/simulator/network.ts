import table from './round-trips.json' with { type: 'json' }

const roundTrips: Readonly<Record<string, Readonly<Record<string, number>>>> = table

/** Round trip between two countries, ms; undefined where none was measured. */
export function roundTripMs(from: string, to: string): number | undefined {
  return roundTrips[from]?.[to]
}
