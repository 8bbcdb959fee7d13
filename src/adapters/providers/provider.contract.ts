import { describe } from 'vitest'
import { lifetimesContract } from './contract/lifetimes.contract.ts'
import { requestsContract } from './contract/requests.contract.ts'
import { type OpenProvider, Setting } from './contract/setting.contract.ts'
import { streamsContract } from './contract/streams.contract.ts'
import { wholeAnswersContract } from './contract/whole-answers.contract.ts'

export { clock, limits } from './contract/setting.contract.ts'

/**
 * What every provider must keep, whatever vendor it speaks to. `open` makes one that speaks to the vendor at `origin`;
 * `proof` is the header that shows who is asking.
 */
export function providerContract(
  name: string,
  open: OpenProvider,
  proof: { readonly header: string; readonly value: RegExp },
): void {
  describe(name, () => {
    const setting = new Setting(open)
    requestsContract(setting, proof)
    wholeAnswersContract(setting)
    streamsContract(setting)
    lifetimesContract(setting)
  })
}
