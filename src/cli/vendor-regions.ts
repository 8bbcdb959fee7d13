import type { ProviderConfig } from '../config/config.ts'

/**
 * The country in which a vendor runs a region, ISO 3166-1 alpha-2. From the vendors' public lists of regions. Undefined
 * for a region that is not known here, and for those that name no country (`global`, `eu`).
 */
export function countryOfRegion(kind: ProviderConfig['kind'], region: string): string | undefined {
  switch (kind) {
    case 'bedrock':
      return firstPrefix(aws, region)
    case 'vertex':
      return firstPrefix(google, region)
    case 'azure':
      return azure[region.toLowerCase().replaceAll(' ', '')]
    case 'openai-compatible':
      return undefined
  }
}

/** By the longest beginning of the region's name: most vendors number the places within a country. */
function firstPrefix(countries: Readonly<Record<string, string>>, region: string): string | undefined {
  const matching = Object.keys(countries).filter((prefix) => region === prefix || region.startsWith(`${prefix}-`))
  const [longest] = matching.sort((a, b) => b.length - a.length)
  return longest === undefined ? undefined : countries[longest]
}

const aws: Readonly<Record<string, string>> = {
  'us-east': 'US',
  'us-west': 'US',
  'us-gov': 'US',
  'ca-central': 'CA',
  'ca-west': 'CA',
  'mx-central': 'MX',
  'sa-east': 'BR',
  'eu-west-1': 'IE',
  'eu-west-2': 'GB',
  'eu-west-3': 'FR',
  'eu-central-1': 'DE',
  'eu-central-2': 'CH',
  'eu-north-1': 'SE',
  'eu-south-1': 'IT',
  'eu-south-2': 'ES',
  'il-central': 'IL',
  'me-south': 'BH',
  'me-central': 'AE',
  'af-south': 'ZA',
  'ap-south': 'IN',
  'ap-east-1': 'HK',
  'ap-east-2': 'TW',
  'ap-northeast-1': 'JP',
  'ap-northeast-2': 'KR',
  'ap-northeast-3': 'JP',
  'ap-southeast-1': 'SG',
  'ap-southeast-2': 'AU',
  'ap-southeast-3': 'ID',
  'ap-southeast-4': 'AU',
  'ap-southeast-5': 'MY',
  'ap-southeast-6': 'NZ',
  'ap-southeast-7': 'TH',
}

const google: Readonly<Record<string, string>> = {
  'us-central1': 'US',
  'us-east1': 'US',
  'us-east4': 'US',
  'us-east5': 'US',
  'us-south1': 'US',
  'us-west1': 'US',
  'us-west2': 'US',
  'us-west3': 'US',
  'us-west4': 'US',
  'northamerica-northeast1': 'CA',
  'northamerica-northeast2': 'CA',
  'northamerica-south1': 'MX',
  'southamerica-east1': 'BR',
  'southamerica-west1': 'CL',
  'europe-central2': 'PL',
  'europe-north1': 'FI',
  'europe-north2': 'SE',
  'europe-southwest1': 'ES',
  'europe-west1': 'BE',
  'europe-west2': 'GB',
  'europe-west3': 'DE',
  'europe-west4': 'NL',
  'europe-west6': 'CH',
  'europe-west8': 'IT',
  'europe-west9': 'FR',
  'europe-west10': 'DE',
  'europe-west12': 'IT',
  'me-central1': 'QA',
  'me-central2': 'SA',
  'me-west1': 'IL',
  'africa-south1': 'ZA',
  'asia-east1': 'TW',
  'asia-east2': 'HK',
  'asia-northeast1': 'JP',
  'asia-northeast2': 'JP',
  'asia-northeast3': 'KR',
  'asia-south1': 'IN',
  'asia-south2': 'IN',
  'asia-southeast1': 'SG',
  'asia-southeast2': 'ID',
  'australia-southeast1': 'AU',
  'australia-southeast2': 'AU',
}

/** As `x-ms-region` has them, without blanks. */
const azure: Readonly<Record<string, string>> = {
  centralus: 'US',
  eastus: 'US',
  eastus2: 'US',
  northcentralus: 'US',
  southcentralus: 'US',
  westcentralus: 'US',
  westus: 'US',
  westus2: 'US',
  westus3: 'US',
  canadacentral: 'CA',
  canadaeast: 'CA',
  mexicocentral: 'MX',
  brazilsouth: 'BR',
  brazilsoutheast: 'BR',
  chilecentral: 'CL',
  northeurope: 'IE',
  westeurope: 'NL',
  uksouth: 'GB',
  ukwest: 'GB',
  francecentral: 'FR',
  francesouth: 'FR',
  germanywestcentral: 'DE',
  germanynorth: 'DE',
  switzerlandnorth: 'CH',
  switzerlandwest: 'CH',
  norwayeast: 'NO',
  norwaywest: 'NO',
  swedencentral: 'SE',
  swedensouth: 'SE',
  polandcentral: 'PL',
  italynorth: 'IT',
  spaincentral: 'ES',
  austriaeast: 'AT',
  uaenorth: 'AE',
  uaecentral: 'AE',
  qatarcentral: 'QA',
  israelcentral: 'IL',
  southafricanorth: 'ZA',
  southafricawest: 'ZA',
  japaneast: 'JP',
  japanwest: 'JP',
  koreacentral: 'KR',
  koreasouth: 'KR',
  southeastasia: 'SG',
  eastasia: 'HK',
  centralindia: 'IN',
  southindia: 'IN',
  westindia: 'IN',
  indonesiacentral: 'ID',
  malaysiawest: 'MY',
  newzealandnorth: 'NZ',
  australiaeast: 'AU',
  australiasoutheast: 'AU',
  australiacentral: 'AU',
  australiacentral2: 'AU',
}
