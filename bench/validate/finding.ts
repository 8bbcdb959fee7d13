/** One figure of the simulator beside what it should be. */
export interface Finding {
  readonly name: string
  readonly wanted: number
  readonly got: number
  readonly note: string
  readonly holds: boolean
}
