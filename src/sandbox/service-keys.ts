import { type ServiceSender, serviceConditionKeysOf } from './authorize.ts';
import { AwsError } from './aws-error.ts';
import type { KeyService } from './kms/keys.ts';

/** A queue or topic that is encrypted under a KMS key. */
export interface EncryptedResource {
  account: string;
  region: string;
  /** Id, ARN or alias of the key. */
  keyId: string;
  /** Service of the resource: `sqs`, `sns`. */
  service: 'sqs' | 'sns';
  /** Encryption context that this service sends to KMS. */
  context: Record<string, string>;
}

/** Returns whether a key is the AWS managed key of SQS or SNS. */
export const isManagedKey = (keyId: string): boolean => /(^|:)alias\/aws\/(sqs|sns)$/.test(keyId);

export const serviceHostOf = (service: 'sqs' | 'sns', region: string): string =>
  `${service}.${region}.amazonaws.com`;

/**
 * Returns the reason why a service cannot send to an encrypted queue or topic; undefined if it can. The key policy must allow
 * the service both actions. The policy of an AWS managed key allows principals of the account only (SQS Developer Guide,
 * "Enable compatibility between event sources from AWS services and encrypted queues").
 */
export function findKeyRefusal(
  keyService: KeyService,
  resource: EncryptedResource,
  sender: ServiceSender,
): string | undefined {
  const { account, region, keyId, service, context } = resource;
  if (isManagedKey(keyId)) return `${sender.service} cannot use the AWS managed key ${keyId}`;
  try {
    const request = {
      keyArn: keyService.resolve(keyId, { account, region }),
      principal: sender.service,
      viaService: serviceHostOf(service, region),
      context,
      conditionKeys: serviceConditionKeysOf(sender),
    };
    for (const action of ['kms:GenerateDataKey', 'kms:Decrypt'] as const) keyService.check(request, action);
    return undefined;
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    return error.message;
  }
}
