import type { Service } from './command.ts';

/**
 * KMS quotas in calls a second, for each account and Region. replikey does not reach the quotas of other operations.
 *
 * https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html
 */
export const KMS_QUOTAS = {
  CreateKey: 5,
  CreateAlias: 5,
  UpdateKeyDescription: 5,
  TagResource: 10,
  EnableKeyRotation: 15,
  DisableKeyRotation: 15,
  PutKeyPolicy: 15,
};

/** The quotas that AWS publishes, in calls a second. */
export const PUBLISHED_QUOTAS: Partial<Record<Service, Record<string, number>>> = {
  kms: KMS_QUOTAS,
  // https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
  cloudtrail: { LookupEvents: 2 },
};
