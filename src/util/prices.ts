/**
 * Prices of CloudWatch in USD a month, in most Regions (https://aws.amazon.com/cloudwatch/pricing/). They do not include
 * the free tier or the discounts for more than 10,000 metrics.
 */
const USD_PER_ALARM = 0.1;
const USD_PER_METRIC = 0.3;

/** The metrics that S3 publishes for a rule: failed operations, latency, pending operations and pending bytes. */
const METRICS_PER_RULE = 4;

export const ALARM_PRICE_TEXT = `about ${usd(USD_PER_ALARM)} a month`;

/** An alarm with a query of Metrics Insights is charged for each metric that the query analyzes. */
export const QUERY_ALARM_PRICE_TEXT = `about ${usd(USD_PER_ALARM)} a month for each rule that it covers`;

export const RULE_METRICS_PRICE_TEXT = `about ${usd(USD_PER_METRIC * METRICS_PER_RULE)} a month for the ${METRICS_PER_RULE} replication metrics of each rule`;

/**
 * Prices of S3 Batch Operations in USD (https://aws.amazon.com/s3/pricing/, management). Replication adds the requests,
 * the transfer and the storage of the replicas.
 */
const USD_PER_JOB = 0.25;
const USD_PER_MILLION_OBJECTS = 1;

export const JOB_PRICE_TEXT = `about ${usd(USD_PER_JOB)}, and ${usd(USD_PER_MILLION_OBJECTS)} for each million objects`;

/** Returns what a batch job with this number of objects costs. */
export const jobPriceText = (objects: number): string =>
  `about ${usd(USD_PER_JOB + (objects / 1_000_000) * USD_PER_MILLION_OBJECTS)}`;

/** Price of a transfer between two Regions of the United States in USD (https://aws.amazon.com/s3/pricing/, data transfer). */
const USD_PER_GB_BETWEEN_US_REGIONS = 0.02;

/** Returns what the transfer of bytes to another Region costs; undefined for Regions with other prices, and for less than a cent. */
export function transferPriceText(bytes: number, from: string, to: string): string | undefined {
  const price = (bytes / BYTES_PER_GB) * USD_PER_GB_BETWEEN_US_REGIONS;
  return isUsRegion(from) && isUsRegion(to) && from !== to && price >= 0.01
    ? `about ${usd(price)}`
    : undefined;
}

const isUsRegion = (region: string): boolean => /^us-(east|west)-\d$/.test(region);

const BYTES_PER_GB = 1_000_000_000;

/** UpdateObjectEncryption costs as much as PUT (S3 User Guide, "Updating server-side encryption for existing data"). */
const USD_PER_MILLION_PUTS = 5;

export const REENCRYPTION_PRICE_TEXT = `${usd(USD_PER_MILLION_PUTS)} for the requests of each million objects, and those to KMS`;

/** Returns what the re-encryption of this number of objects costs, without the requests to KMS. */
export const reencryptionPriceText = (objects: number): string =>
  `about ${usd(USD_PER_JOB + (objects / 1_000_000) * (USD_PER_MILLION_OBJECTS + USD_PER_MILLION_PUTS))}`;

/** Returns what alarms on single rules cost. */
export const alarmsPriceText = (count: number): string => `about ${usd(count * USD_PER_ALARM)} a month`;

function usd(amount: number): string {
  return `${amount.toFixed(2)} USD`;
}
