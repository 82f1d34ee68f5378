import type { Handlers } from './call.ts';
import { cloudTrailHandlers } from './cloudtrail/handlers.ts';
import { alarmHandlers } from './cloudwatch/alarms.ts';
import { metricDataHandlers } from './cloudwatch/metric-data.ts';
import { withIamAuthorization } from './iam/access.ts';
import { iamAccountHandlers } from './iam/account.ts';
import { managedPolicyHandlers, rolePolicyHandlers } from './iam/policies.ts';
import { roleHandlers } from './iam/roles.ts';
import { withGrantTokens } from './kms/access.ts';
import { aliasHandlers } from './kms/aliases.ts';
import { cryptographyHandlers } from './kms/cryptography.ts';
import { grantHandlers } from './kms/grants.ts';
import { keyHandlers } from './kms/key-handlers.ts';
import { keyPolicyHandlers } from './kms/key-policies.ts';
import { organizationAccountHandlers } from './organizations/accounts.ts';
import { delegationHandlers } from './organizations/delegation.ts';
import { hierarchyHandlers } from './organizations/hierarchy.ts';
import { controlPolicyHandlers } from './organizations/policies.ts';
import type { ServiceName } from './protocol/operations.ts';
import { aclHandlers } from './s3/acls.ts';
import { bucketPolicyHandlers } from './s3/bucket-policies.ts';
import { settingHandlers } from './s3/bucket-settings.ts';
import { bucketHandlers } from './s3/buckets.ts';
import { listingHandlers } from './s3/list-objects.ts';
import { multipartHandlers } from './s3/multipart.ts';
import { notificationHandlers } from './s3/notification-config.ts';
import { objectEncryptionHandlers } from './s3/object-encryption.ts';
import { objectLockHandlers } from './s3/object-lock.ts';
import { objectHandlers } from './s3/objects.ts';
import { replicationHandlers } from './s3/replication-config.ts';
import { copyHandlers } from './s3/store-object.ts';
import { unsetSettingHandlers } from './s3/unset-settings.ts';
import { jobHandlers } from './s3control/jobs.ts';
import { publishHandlers } from './sns/publish.ts';
import { subscriptionHandlers } from './sns/subscriptions.ts';
import { topicHandlers } from './sns/topics.ts';
import { messageHandlers } from './sqs/messages.ts';
import { queueHandlers } from './sqs/queues.ts';
import { stsHandlers } from './sts.ts';

/** Handlers of all operations that the sandbox implements, by service. */
export const serviceHandlers: Record<ServiceName, Handlers> = {
  /** Protocol: REST and XML. */
  s3: {
    ...bucketHandlers,
    ...settingHandlers,
    ...bucketPolicyHandlers,
    ...aclHandlers,
    ...unsetSettingHandlers,
    ...notificationHandlers,
    ...replicationHandlers,
    ...objectHandlers,
    ...objectEncryptionHandlers,
    ...objectLockHandlers,
    ...copyHandlers,
    ...listingHandlers,
    ...multipartHandlers,
  },
  /** Protocol: REST and XML. */
  s3control: jobHandlers,
  /** Protocol: Query. Like IAM, the sandbox returns policy documents URL-encoded (RFC 3986). */
  iam: withIamAuthorization({
    ...roleHandlers,
    ...rolePolicyHandlers,
    ...managedPolicyHandlers,
    ...iamAccountHandlers,
  }),
  /** Protocol: JSON 1.1. */
  kms: withGrantTokens({
    ...keyHandlers,
    ...aliasHandlers,
    ...keyPolicyHandlers,
    ...grantHandlers,
    ...cryptographyHandlers,
  }),
  /** Protocol: Query. */
  sts: stsHandlers,
  /** Protocol: JSON 1.1. */
  cloudtrail: cloudTrailHandlers,
  /** Protocol: JSON 1.0, RPC v2 CBOR, and Query for older clients. */
  cloudwatch: { ...metricDataHandlers, ...alarmHandlers },
  /** Protocol: JSON 1.0. */
  sqs: { ...queueHandlers, ...messageHandlers },
  /** Protocol: Query. */
  sns: { ...topicHandlers, ...subscriptionHandlers, ...publishHandlers },
  /** Protocol: JSON 1.1. */
  organizations: {
    ...organizationAccountHandlers,
    ...hierarchyHandlers,
    ...controlPolicyHandlers,
    ...delegationHandlers,
  },
};
