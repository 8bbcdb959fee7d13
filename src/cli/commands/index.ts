import type { Command } from '../command.ts'
import { command as brownout } from './brownout.ts'
import { command as config } from './config.ts'
import { command as demo } from './demo.ts'
import { command as doctor } from './doctor.ts'
import { command as keys } from './keys.ts'
import { command as replay } from './replay.ts'
import { command as replayDecisions } from './replay-decisions.ts'
import { command as simulate } from './simulate.ts'
import { command as start } from './start.ts'
import { command as tenants } from './tenants.ts'
import { command as up } from './up.ts'
import { command as usage } from './usage.ts'

export const commands: readonly Command[] = [
  up,
  start,
  config,
  doctor,
  keys,
  tenants,
  usage,
  brownout,
  replay,
  replayDecisions,
  simulate,
  demo,
]
